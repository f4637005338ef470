"""How a worker talks: a line of JSON in, a line of JSON out; arrays go through .npz files.

{"do": "versions"} is answered with those of the library. {"do": "case", "case": {…}, "problem": P, "result": R} reads
arrays from P, computes, writes the result to R and is answered {}. {"do": "time", "times": n} does the case's work n
times and is answered {"seconds": s}. {"error": text} is the answer to whatever fails.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Task:
    """A case and its numbers, as `benchmarks.problem` writes them. Weights have torch's names.

    x (steps, batch, input_size), zero past each of lengths (batch,); d_output (steps, batch, outputs).
    arguments: the options of a variant, as JSON gives them.
    """

    cell: str
    work: str
    input_size: int
    hidden_size: int
    ragged: bool
    bidirectional: bool
    x: np.ndarray
    lengths: np.ndarray
    d_output: np.ndarray
    weights: Arrays
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def directions(self) -> tuple[str, ...]:
        """Suffixes of the weights' names."""
        return ("_l0", "_l0_reverse") if self.bidirectional else ("_l0",)

    @property
    def real(self) -> np.ndarray:
        """(steps, batch): whether a step is one of the sequence."""
        real: np.ndarray = np.arange(len(self.x))[:, None] < self.lengths
        return real


class Runner(Protocol):
    """A task made ready."""

    def run(self) -> None:
        """The work that is timed; returns when it is done."""

    def result(self) -> Arrays:
        """output, and for training d_input and d_ and the name of each weight, in torch's layout."""


def serve(prepare: Callable[[Task], Runner], packages: tuple[str, ...]) -> None:
    """Answers until there are no more lines."""
    # Libraries that take no number of threads take one for each core that they may run on.
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: threads()])
    # Libraries that print must not end up among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    runner: Runner | None = None
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            if request["do"] == "versions":
                answer = {name: version(name) for name in packages}
            elif request["do"] == "case":
                runner = None
                runner = prepare(_task(request))
                np.savez(request["result"], allow_pickle=False, **runner.result())
            else:
                assert runner is not None
                answer = {"seconds": _seconds(runner, request["times"])}
        except Exception as error:  # goes to the process that asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def threads() -> int:
    """Threads that the worker is to use."""
    return int(os.environ["OMP_NUM_THREADS"])


def _task(request: dict[str, Any]) -> Task:
    with np.load(request["problem"]) as file:
        arrays = dict(file)
    own = {name: arrays.pop(name) for name in ("x", "lengths", "d_output")}
    return Task(**request["case"], **own, weights=arrays)


def _seconds(runner: Runner, times: int) -> float:
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        for _ in range(times):
            runner.run()
        return time.perf_counter() - started
    finally:
        gc.enable()
