"""Helpers of the integration tests of the core: programs in a process of their own."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

PREAMBLE = """
import numpy as np

def work(kernels, threads, hidden=40, lengths=(60, 20, 50, 61, 7, 33), cell=2, seed=0):
    '''Forward and backward of one layer; returns what they wrote. By default there is enough to do for threads.'''
    from throughtime.kernels import _core
    layer = _core.LayerFloat32(cell, 0, True, 5, hidden, 2, kernels.isa())
    plan = _core.BatchPlan(max(lengths), len(lengths), list(lengths))
    rng = np.random.default_rng(seed)
    def draw(*shape):
        return rng.uniform(-0.3, 0.3, shape).astype(np.float32)
    def out(*shape):
        return np.full(shape, np.nan, np.float32)
    gates = (1, 3, 4)[cell]
    T, B = max(lengths), len(lengths)
    x, d_y = draw(T, B, 5), draw(T, B, 2 * hidden)
    y, h_n, c_n = out(T, B, 2 * hidden), out(2, B, hidden), out(2, B, hidden) if cell == 2 else None
    packed, packed_back, saved, d_gates, d_weights = [], [], [], [], []
    for _ in range(2):
        weights = draw(gates * hidden, 5), draw(gates * hidden, hidden), draw(gates * hidden), draw(gates * hidden)
        packed.append(out(layer.packed_forward))
        layer.pack([*weights, *[None] * 6], False, packed[-1])
        packed_back.append(out(layer.packed_backward))
        layer.pack([*weights, *[None] * 6], True, packed_back[-1])
        d_weights.append([*(out(*w.shape) for w in weights), *[None] * 6])
        saved.append(out(plan.tokens, layer.saved_width))
        d_gates.append(out(plan.tokens, layer.gates_width))
    layer.forward(plan, x, packed, None, None, y, h_n, c_n, saved, [], None, threads)
    d_x = out(*x.shape)
    layer.backward(plan, x, packed_back, None, None, y, saved if layer.saved_width else [], d_y, None, None, d_gates,
                   d_x, None, None, d_weights, threads)
    results = [y, h_n, d_x, *d_weights[0][:4], *d_weights[1][:4]]
    assert all(np.isfinite(r).all() for r in results)
    return results

def native_threads():
    import os
    return len(os.listdir('/proc/self/task'))
"""


@pytest.fixture
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """program(text, NAME=value, …): runs it with these environment variables; one that is None is taken away."""

    def run(text: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        merged = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment}
        kept = {name: value for name, value in merged.items() if value is not None}
        return subprocess.run(
            [sys.executable, "-c", PREAMBLE + text], env=kept, capture_output=True, text=True, timeout=200, check=False
        )

    return run


@pytest.fixture
def answer(program: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., str]:
    """What such a program prints; it must end well and say nothing else."""

    def run(text: str, **environment: str | None) -> str:
        done = program(text, **environment)
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stderr}"
        assert done.stderr == ""
        return done.stdout.strip()

    return run
