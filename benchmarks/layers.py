"""Measures one layer case: check every contender, then time them all in turn."""

from collections.abc import Callable
from functools import partial

from benchmarks.cases import LayerCase
from benchmarks.contenders import contenders
from benchmarks.contest import Contest
from benchmarks.external import Workers
from benchmarks.problem import Problem, check, reference_result
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
    contest = Contest(problem, reference_result(problem), fail)
    for name, contender in ours.items():
        contest.enter(name, contender, partial(check, ours=True))
    for library in workers.present:
        if library.does != "layers":
            continue
        if case.work == "training" and not library.trains:
            contest.leave_out(library.name, "does not train")
        else:
            contest.enter_external(library, workers)
    for name in workers.absent:
        contest.leave_out(name, "its environment is not there")
    return contest.result(repeats, {"flops": case.flops, "real_share": round(problem.real_share, 4)})
