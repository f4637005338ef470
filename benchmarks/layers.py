"""Measures one layer case: check every contender, then time them all in turn."""

from collections.abc import Callable
from typing import Any

from benchmarks.cases import LayerCase
from benchmarks.contenders import contenders
from benchmarks.external import ContenderError, Workers
from benchmarks.measure import Timed, interleaved
from benchmarks.problem import Problem, WrongResultError, check, reference_result
from benchmarks.results import Result


def measure_layer(case: LayerCase, *, repeats: int, workers: Workers, fail: Callable[[str], None]) -> Result:
    """Seconds a pass of every contender, and in facts the largest differences from the reference and who is left out.

    Args:
        fail: told of a contender of another process that fails or is wrong; the others go on without it.
    Raises:
        WrongResultError: throughtime's or torch's layer is wrong; nothing is timed then.
    """
    problem = Problem(case)
    ours = contenders(problem)
    chosen: dict[str, Callable[[], object] | Timed] = dict(ours)
    expected = reference_result(problem)
    differences: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for name, contender in ours.items():
        try:
            differences[name] = check(contender.result(), expected, ours=True)
        except WrongResultError as error:
            raise WrongResultError(f"{case.name}: {name}: {error}") from error
    for library in workers.present:
        if case.work == "training" and not library.trains:
            left_out[library.name] = "does not train"
            continue
        try:
            external = workers.worker(library).prepare(problem)
            differences[library.name] = check(external.result(), expected, ours=False)
        except (ContenderError, WrongResultError) as error:
            left_out[library.name] = str(error)
            fail(f"{case.name}: {library.name}: {error}")
        else:
            chosen[library.name] = external
    samples = interleaved(chosen, repeats=repeats)
    facts: dict[str, Any] = {
        "flops": case.flops,
        "real_share": round(problem.real_share, 4),
        "differences": {name: float(f"{value:.2g}") for name, value in differences.items()},
        "left_out": left_out | dict.fromkeys(workers.absent, "its environment is not there"),
    }
    return Result(case.name, "s", "lower", samples, facts)
