"""The contenders of a case: each is checked against the reference before it may be timed."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import Contender
from benchmarks.external import ContenderError, Library, Workers
from benchmarks.measure import Timed, interleaved
from benchmarks.problem import Problem, WrongResultError, check
from benchmarks.results import Result


class Contest:
    """Those of one case.

    Args:
        expected: the reference's result.
        fail: told of a contender of another process that fails or is wrong; the others go on without it.
    """

    def __init__(self, problem: Problem[Any], expected: dict[str, Tensor], fail: Callable[[str], None]) -> None:
        self._problem = problem
        self._expected = expected
        self._fail = fail
        self._chosen: dict[str, Callable[[], object] | Timed] = {}
        self._differences: dict[str, float] = {}
        self._left_out: dict[str, str] = {}

    def enter(self, name: str, contender: Contender, compare: Callable[..., float]) -> None:
        """Args:
            compare: as `problem.check`, with its tolerances chosen.

        Raises:
            WrongResultError: it is wrong.
        """
        try:
            self._differences[name] = compare(contender.result(), self._expected)
        except WrongResultError as error:
            raise WrongResultError(f"{self._problem.case.name}: {name}: {error}") from error
        self._chosen[name] = contender

    def enter_unchecked(self, name: str, contender: Callable[[], object]) -> None:
        """One that does other work, which is checked in a case of its own."""
        self._chosen[name] = contender

    def enter_external(self, library: Library, workers: Workers) -> None:
        """One of another process; who fails or is wrong is left out."""
        try:
            external = workers.worker(library).prepare(self._problem)
            self._differences[library.name] = check(external.result(), self._expected, ours=False)
        except (ContenderError, WrongResultError) as error:
            self.leave_out(library.name, str(error))
            self._fail(f"{self._problem.case.name}: {library.name}: {error}")
        else:
            self._chosen[library.name] = external

    def leave_out(self, name: str, reason: str) -> None:
        self._left_out[name] = reason

    def result(self, repeats: int, facts: Mapping[str, Any]) -> Result:
        """Times all in turn; facts get the largest differences from the reference, and who is left out."""
        with torch.set_grad_enabled(self._problem.case.work == "training"):
            samples = interleaved(self._chosen, repeats=repeats)
        differences = {name: float(f"{value:.2g}") for name, value in self._differences.items()}
        all_facts = {**facts, "differences": differences, "left_out": self._left_out}
        return Result(self._problem.case.name, "s", "lower", samples, all_facts)
