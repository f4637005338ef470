"""`python -m benchmarks.limits RUN.json`: how near measured layers come to what this machine can do at most.

The limits are measured by native/limits: multiply-adds whose factors stay in registers, reads of a thread's own memory
by its size, and the core's sigmoid and tanh, with as many threads at work at once as the run had. From these follows
the least time of a case, for any implementation that works as all known ones do (see `least_time`). Beside it stand
throughtime's time and that of the best of torch, so that one sees about how many times faster than torch anything could
be.

Measure on the machine of the run, and right after it: a processor's clock moves with what else its host does.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.cases import LayerCase, VariantCase, all_cases
from benchmarks.goals import Goal, goals
from benchmarks.machine import conditions
from benchmarks.results import OURS, Result, ResultsError, Run, load, readable
from benchmarks.table import table
from throughtime.spec.cells import GATES, parameter_shapes

_ROOT: Final = Path(__file__).parent.parent
# Of a unit and step, forward; backward needs none that could not have been kept.
_SIGMOIDS: Final = {"LSTM": 3, "GRU": 2, "RNN": 0, "MinGRU": 1, "MinLSTM": 2, "IndRNN": 0}
_TANHS: Final = {"LSTM": 2, "GRU": 1, "RNN": 1, "MinGRU": 0, "MinLSTM": 0, "IndRNN": 1}
_FLOAT32: Final = 4


@dataclass(frozen=True)
class Limits:
    """What the machine can do at most, all threads together.

    flops: floating-point operations a second of multiply-adds; sigmoids, tanhs: values a second; reads: (bytes of a
    thread's own memory, bytes a second that all read from it), by size; lanes: float32 values of a vector.
    """

    lanes: int
    threads: int
    flops: float
    sigmoids: float
    tanhs: float
    reads: list[tuple[int, float]]

    def read_rate(self, size: float) -> float:
        """Bytes a second, of all threads, where each reads `size` bytes over and over. Rather too many than too
        few: the best of the largest size that was measured and is not larger, and of all larger ones.
        """
        near = [bytes_ for bytes_, _ in self.reads if bytes_ <= size]
        return max(rate for bytes_, rate in self.reads if not near or bytes_ >= near[-1])


def least_time(case: LayerCase | VariantCase, limits: Limits) -> float:
    """Seconds that a case takes at least: its matrix products at the rate of multiply-adds, or its activations.

    A program could be below where it keeps part of the weights nearer than a sweep over all of them finds them, or has
    quicker activations than the core's.

    A plain layer's product with weight_hh cannot begin a step before the one before it has ended, so that all its
    weights are read at each step, shared out among the threads; where that takes longer than its operations, it counts
    instead. The first step's product is not counted: with the state of zeros that the cases start from it is 0. Nothing
    else counts: no other memory traffic, no masks, no barrier, no call from Python; and activations, which may overlap
    with products, only where they alone take longer.
    """
    tokens = sum(case.shape.lengths)
    values = case.shape.hidden_size * tokens * (2 if case.shape.bidirectional else 1)
    coupled = isinstance(case, VariantCase) and case.options.coupled_gates
    sigmoids, tanhs = _SIGMOIDS[case.cell] - coupled, _TANHS[case.cell]
    activations = values * (sigmoids / limits.sigmoids + tanhs / limits.tanhs)
    return max(_products(case, limits), activations)


def _products(case: LayerCase | VariantCase, limits: Limits) -> float:
    shape = case.shape
    if isinstance(case, VariantCase):
        recurrent = parameter_shapes(case.options).get("weight_hh_l0", ())  # without a matrix there is no product
        first = 3 * 2 * math.prod(recurrent) * shape.batch if len(recurrent) == 2 else 0
        return (case.flops - first) / limits.flops
    if case.work == "streaming":  # a step in the middle: a state is there, and all weights are read
        size = case.flops // (2 * case.shape.steps * case.shape.batch) * _FLOAT32  # of the weights
        reading = case.shape.steps * size / limits.read_rate(size / limits.threads)
        return max(case.flops / limits.flops, reading)
    weights = len(GATES[case.cell]) * shape.hidden_size**2 * (2 if shape.bidirectional else 1)
    # Forward, and in training back to the state before: these wait for another step. Then the weights' gradient.
    passes = 2 if case.work == "training" else 1
    waiting = 2 * weights * (sum(shape.lengths) - shape.batch) * passes
    size = weights * _FLOAT32
    reading = (max(shape.lengths) - 1) * passes * size / limits.read_rate(size / limits.threads)
    first = 2 * weights * shape.batch * (3 if case.work == "training" else 1)
    return (case.flops - first - waiting) / limits.flops + max(waiting / limits.flops, reading)


def measure(threads: int, build: Path = _ROOT / "build" / "limits") -> Limits:
    """Compiles and runs native/limits.

    Raises:
        ResultsError: it did not compile or run; the message has the compiler's.
    """
    commands = [
        ["cmake", "-S", str(_ROOT / "native"), "-B", str(build), "-DTHROUGHTIME_PYTHON=OFF", "-DTHROUGHTIME_LIMITS=ON"],
        ["cmake", "--build", str(build), "--target", "core_limits"],
        [str(build / "limits" / "core_limits"), str(threads)],
    ]
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except OSError as error:
            raise ResultsError(f"{command[0]}: {error.strerror}; the limits need cmake and a C++ compiler") from error
        except subprocess.CalledProcessError as error:
            raise ResultsError(f"{' '.join(command)} failed:\n{error.stderr or error.stdout}") from error
    found = json.loads(done.stdout)
    return Limits(**found | {"reads": [(size, rate) for size, rate in found["reads"]]})


def rows(results: Sequence[Result], limits: Limits) -> list[list[str]]:
    """A row of each layer and variant that was measured: the least time, ours and torch's, and the ratios that follow.

    torch's is that of the contender that the case's goal is against, or else torch's best.
    """
    cases = {case.name: case for case in all_cases(quick=False) if isinstance(case, LayerCase | VariantCase)}
    set_goals = {goal.case: goal for goal in goals(results) if goal.against.startswith("torch")}
    return [
        _row(result, least_time(cases[result.case], limits), set_goals.get(result.case))
        for result in results
        if result.case in cases and OURS in result.samples
    ]


def _row(result: Result, least: float, goal: Goal | None) -> list[str]:
    ours = result.median(OURS)
    row = [result.case.removeprefix("layers/"), readable(least, "s"), readable(ours, "s"), f"{least / ours:.0%}"]
    names = [goal.against] if goal is not None else [name for name in result.others if name.startswith("torch")]
    if not names:
        return [*row, "", "", "", "", ""]
    best = min(names, key=result.median)
    theirs = result.median(best)
    wanted = "" if goal is None else goal.wanted
    return [*row, best, f"{least / theirs:.0%}", f"{result.advantage(best):.2f}", f"{theirs / least:.2f}", wanted]


def describe(limits: Limits) -> str:
    """The limits in a few lines."""
    reads = ", ".join(f"{size >> 10} KB: {rate / 1e9:.0f}" for size, rate in limits.reads)
    return (
        f"{limits.threads} threads, vectors of {limits.lanes} float32: {limits.flops / 1e9:.1f} GF/s of multiply-adds; "
        f"{limits.sigmoids / 1e9:.2f} thousand million sigmoids and {limits.tanhs / 1e9:.2f} tanhs a second;\n"
        f"reads in GB/s by each thread's memory: {reads}"
    )


def _check_machine(run: Run, path: Path) -> None:
    here = conditions()
    for name in ("machine", "instruction_set"):
        then, now = run.conditions.get(name), here[name]
        if isinstance(then, dict) and isinstance(now, dict):  # a key that only one has tells nothing
            differ = [key for key in then if key in now and then[key] != now[key]]
            then, now = ({key: given[key] for key in differ} for given in (then, now))
        if then != now:
            raise ResultsError(f"{path} was measured on {then}, but this is {now}; measure the run here")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.limits",
        description="How near the layers of a run come to what this machine can do at most.",
    )
    parser.add_argument("run", type=Path, help="a file that benchmarks.run wrote on this machine")
    parser.add_argument(
        "--gflops",
        type=float,
        default=0.0,
        help="a rate of multiply-adds, in GF/s, that this machine has shown: counts where it is above today's",
    )
    options = parser.parse_args(arguments)
    try:
        run = load(options.run)
        _check_machine(run, options.run)
        limits = measure(int(run.conditions["threads"]["torch"]))
    except ResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = rows(run.results, replace(limits, flops=max(limits.flops, options.gflops * 1e9)))
    if not found:
        print(f"error: {options.run} has no layers or variants of full size; measure some first", file=sys.stderr)
        return 2
    print(describe(limits), end="\n\n")
    head = ["case", "least", "throughtime", "reaches", "beside", "reaches", "× it", "at most", "wanted"]
    print(table(head, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
