"""Memory after thousands of calls of every shape is what it was after the first hundred."""

from collections.abc import Callable

import pytest


@pytest.mark.parametrize("threads", [1, 2])
def test_no_call_keeps_memory(answer: Callable[..., str], threads: int) -> None:
    text = f"""
import gc, os
from throughtime import kernels
rng = np.random.default_rng(0)
def resident():
    gc.collect()
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGESIZE') / 2**20
def call(i):
    lengths = tuple(rng.integers(1, 12, rng.integers(1, 9)).tolist())
    work(kernels, {threads}, hidden=int(rng.choice([1, 3, 17, 33, 64])), lengths=lengths, cell=i % 3, seed=i)
work(kernels, {threads}, hidden=64, lengths=(12,) * 9)
for i in range(100):
    call(i)
before = resident()
for i in range(10_000):
    call(i)
print(resident() - before)
"""
    grown = float(answer(text, OMP_NUM_THREADS="2"))
    assert grown < 4.0, f"{grown} MiB more after 10,000 calls than after 100"
