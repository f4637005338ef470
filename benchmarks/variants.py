"""Measures one variant: throughtime's layer against its plain layer, and against loops over the steps in PyTorch."""

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import Tensor, nn

from benchmarks.cases import LayerCase, VariantCase
from benchmarks.contenders import Contender, Sequences, contenders
from benchmarks.contest import Contest
from benchmarks.external import Workers
from benchmarks.loops import Loop
from benchmarks.problem import Problem, check, equations_result, variant_layer
from benchmarks.results import OURS, Result
from throughtime.spec.cells import CLASSIC, ClassicCell

PLAIN: Final = "plain layer"
LOOP: Final = "torch loop"


class Training(Sequences):
    """A forward and a backward pass in training, with masks drawn anew; the result is that without the random parts."""

    def result(self) -> dict[str, Tensor]:
        self._layer.eval()
        try:
            return super().result()
        finally:
            self._layer.train()


def measure_variant(case: VariantCase, *, repeats: int, workers: Workers, fail: Callable[[str], None]) -> Result:
    """As `layers.measure_layer`.

    Raises:
        WrongResultError: throughtime's layer or the loop is wrong; nothing is timed then.
    """
    problem = Problem(case)
    contest = Contest(problem, equations_result(problem), fail)
    strict = partial(check, ours=True, normalised=case.options.layer_norm, sums=True)
    contest.enter(OURS, ours(problem), strict)
    for cell in CLASSIC:
        if cell == case.cell:
            contest.enter_unchecked(PLAIN, plain(cell, case))
    contest.enter(LOOP, loop(problem), partial(check, ours=False))
    for library in workers.present:
        if library.does == "variants":
            contest.enter_external(library, workers)
    return contest.result(repeats, {"flops": case.flops})


def ours(problem: Problem[VariantCase]) -> Contender:
    layer = variant_layer(problem.case)

    def run(x: Tensor) -> Tensor:
        output: Tensor = layer(x)[0]
        return output

    return Training(problem, layer, run)


def plain(cell: ClassicCell, case: VariantCase) -> Contender:
    """throughtime's layer of the same cell and sizes without the variant; the cases of layers check it."""
    return contenders(Problem(LayerCase(cell, "training", case.shape)))[OURS]


def loop(problem: Problem[VariantCase]) -> Contender:
    layer: nn.Module = Loop(problem.case.options)
    return Training(problem, layer, layer)
