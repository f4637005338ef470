"""Measures one layer case: check every contender, then time them all in turn."""

from benchmarks.cases import LayerCase
from benchmarks.contenders import PACKED, Problem, WrongResultError, check, contenders
from benchmarks.measure import interleaved
from benchmarks.results import Result


def measure_layer(case: LayerCase, *, repeats: int) -> Result:
    """Seconds a pass of every contender.

    Raises:
        WrongResultError: a contender computes something else; nothing is timed then.
    """
    problem = Problem(case)
    chosen = contenders(problem)
    expected = chosen[PACKED].result()
    for name, contender in chosen.items():
        try:
            check(contender, expected)
        except WrongResultError as error:
            raise WrongResultError(f"{case.name}: {name}: {error}") from error
    samples = interleaved(chosen, repeats=repeats)
    return Result(case.name, "s", "lower", samples, {"real_share": round(problem.real_share, 4)})
