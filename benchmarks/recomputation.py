"""Measures recomputation through time: memory and time of training with it and without, a process each.

The processes run this module: `python -m benchmarks.recomputation WITH BATCH STEPS INPUT HIDDEN`.
"""

import json
import resource
import sys
import time
from typing import Final

import torch
from torch import Tensor

import throughtime.nn
from benchmarks.cases import RecomputeCase
from benchmarks.measure import run_process
from benchmarks.problem import WrongResultError
from benchmarks.results import OURS, Result
from throughtime.spec.tolerances import GRADIENT, OUTPUT

WITHOUT: Final = "without recompute"
PASSES: Final = 6
"""Of a process; its time is that of the fastest, its memory the most that any needed."""

_WARM_UP: Final = (2, 64)


def measure_recomputation(case: RecomputeCase, *, repeats: int) -> list[Result]:
    """Peak memory and seconds of a training pass, and the peak memory of the whole process with everything loaded.

    Raises:
        WrongResultError: recomputation changes the numbers.
    """
    _check(case)
    kinds = {OURS: True, WITHOUT: False}
    found: dict[str, dict[str, list[float]]] = {"peak-memory": {}, "seconds": {}, "whole-process": {}}
    for number in range(repeats):
        for name in list(kinds) if number % 2 == 0 else reversed(kinds):
            shape = case.shape
            sizes = (shape.batch, shape.steps, shape.input_size, shape.hidden_size)
            command = [sys.executable, "-m", "benchmarks.recomputation", *map(str, (int(kinds[name]), *sizes))]
            finished = run_process(command, {"OMP_NUM_THREADS": str(torch.get_num_threads())})
            values = {**json.loads(finished.output), "whole-process": finished.peak_memory_mb}
            for quantity, value in values.items():
                found[quantity].setdefault(name, []).append(value)
    return [
        Result(f"{case.name}/{quantity}", "s" if quantity == "seconds" else "MB", "lower", samples)
        for quantity, samples in found.items()
    ]


def _layer(input_size: int, hidden_size: int, *, recompute: bool) -> throughtime.nn.LSTM:
    torch.manual_seed(0)
    return throughtime.nn.LSTM(input_size, hidden_size, recompute=recompute)


def training_pass(layer: throughtime.nn.LSTM, x: Tensor) -> Tensor:
    """A loss on the last state, as of a classifier of sequences, and gradients of all parameters; gives that state."""
    layer.zero_grad(set_to_none=True)
    h: Tensor = layer(x)[1][0]
    torch.autograd.backward(h.square().mean())
    return h.detach()


def _check(case: RecomputeCase) -> None:
    """A pass over the first steps of the case, with and without, must give the same."""
    shape = case.shape
    x = torch.randn(min(shape.steps, 256), shape.batch, shape.input_size, generator=torch.Generator().manual_seed(0))
    layers = [_layer(shape.input_size, shape.hidden_size, recompute=recompute) for recompute in (True, False)]
    ours, theirs = (training_pass(layer, x) for layer in layers)
    pairs = {"h_n": (ours, theirs, OUTPUT)}
    for (name, p), q in zip(layers[0].named_parameters(), layers[1].parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        pairs[f"d_{name}"] = (p.grad, q.grad, GRADIENT)
    for name, (got, expected, table) in pairs.items():
        row = table["float32"]
        if not torch.allclose(got, expected, rtol=row.rtol, atol=row.atol):
            raise WrongResultError(f"{case.name}: recomputation changes {name}")


def _resident_peak() -> float:
    """MB of 10⁶ bytes, of this process until now."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(recompute: str, *sizes: str) -> None:
    """Prints what a pass adds to the memory that the process has after a small one, its input included; and seconds."""
    batch, steps, input_size, hidden_size = map(int, sizes)
    layer = _layer(input_size, hidden_size, recompute=recompute == "1")
    small_batch, few = _WARM_UP
    training_pass(layer, torch.randn(few, small_batch, input_size))
    before = _resident_peak()
    x = torch.randn(steps, batch, input_size)
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        training_pass(layer, x)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"peak-memory": _resident_peak() - before, "seconds": min(seconds)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
