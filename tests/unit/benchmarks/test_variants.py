"""Variants: the loops compute the equations, with masks too; a case times all and says what is left out."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from benchmarks.cases import VARIANTS, LayerShape, VariantCase
from benchmarks.external import COMPILED_LOOP, LIBRARIES, Workers, workers
from benchmarks.loops import Loop, Masks, draw
from benchmarks.problem import Problem, WrongResultError, check, equations_result
from benchmarks.results import OURS
from benchmarks.variants import LOOP, PLAIN, loop, measure_variant, ours
from throughtime import equations
from throughtime.spec.cells import Cell, LayerOptions
from throughtime.spec.masks import Masks as SpecMasks

SHAPE = LayerShape(3, 6, 4, 8, ragged=False)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(("cell", "variant"), VARIANTS)
def test_ours_and_the_loop_compute_the_equations_and_an_error_is_seen(cell: Cell, variant: str) -> None:
    problem = Problem(VariantCase(cell, variant, SHAPE))
    expected = equations_result(problem)
    assert len(expected) == 2 + len(problem.reference.state_dict())
    for contender in (ours(problem), loop(problem)):
        contender()  # in training, with masks: its result is without them all the same
        check(contender.result(), expected, ours=True, normalised=True, sums=True)
        for name, value in expected.items():
            with pytest.raises(WrongResultError, match=name):
                check(contender.result(), {**expected, name: value + 1e-3}, ours=False)


@pytest.mark.parametrize(("cell", "variant"), VARIANTS)
def test_the_loop_computes_the_equations_with_masks(cell: Cell, variant: str) -> None:
    case = VariantCase(cell, variant, SHAPE)
    problem = Problem(case)
    torch.manual_seed(1)
    masks = draw(case.options, SHAPE.steps, SHAPE.batch)
    layer = Loop(case.options)
    layer.load_state_dict(problem.reference.state_dict())
    numbers = SpecMasks(**{name: None if m is None else m.numpy() for name, m in masks._asdict().items()})
    weights = {name: value.numpy() for name, value in layer.state_dict().items()}
    trace = equations.forward(case.options, weights, problem.x.numpy(), masks=[[numbers]])
    gradients = equations.backward(trace, problem.d_output.numpy())
    x = problem.x.clone().requires_grad_()
    output = layer(x, masks)
    torch.autograd.backward(output, problem.d_output)
    assert x.grad is not None
    got = {"output": output.detach(), "d_input": x.grad}
    expected = {"output": torch.from_numpy(trace.output), "d_input": torch.from_numpy(gradients.d_input)}
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        got[f"d_{name}"] = parameter.grad
        expected[f"d_{name}"] = torch.from_numpy(gradients.d_parameters[name])
    check(got, expected, ours=True, normalised=True, sums=True)
    random = variant in ("zoneout", "recurrent_dropout")
    assert random == (masks != Masks())
    assert random == (not torch.allclose(output, layer.eval()(x)))


def test_masks_are_drawn_anew_each_pass_with_their_shares() -> None:
    zoneout = VariantCase("LSTM", "zoneout", SHAPE).options
    h, c, recurrent = draw(zoneout, 100, 50)
    assert recurrent is None
    assert h is not None
    assert c is not None
    assert not torch.equal(h, c)
    for mask in (h, c):
        assert mask.shape == (100, 50, SHAPE.hidden_size)
        assert float(mask.float().mean()) == pytest.approx(0.1, abs=0.01)
    dropped = draw(VariantCase("GRU", "recurrent_dropout", SHAPE).options, 5, 5_000).recurrent
    assert dropped is not None
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 1 / 0.7])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    layer = Loop(zoneout)
    layer.load_state_dict(Problem(VariantCase("LSTM", "zoneout", SHAPE)).reference.state_dict())
    x = torch.randn(6, 3, 4)
    assert not torch.equal(layer(x), layer(x))


def test_what_the_loops_lack_is_refused() -> None:
    for options in (
        LayerOptions("GRU", 3, (4,), reset_after=False),
        LayerOptions("LSTM", 3, (4, 4)),
        LayerOptions("RNN", 3, (4,), weight_dropout=0.5),
        LayerOptions("RNN", 3, (4,), bias=False),
    ):
        with pytest.raises(ValueError, match="no loop is written"):
            Loop(options)


def _run(case: VariantCase, others: Workers, fail: Callable[[str], None]) -> dict[str, list[float]]:
    return measure_variant(case, repeats=2, workers=others, fail=fail).samples


def test_a_case_times_all_and_cells_that_torch_lacks_have_no_plain_layer() -> None:
    failed: list[str] = []
    with workers(()) as none:
        measure = partial(_run, others=none, fail=failed.append)
        peephole, minimal = (
            measure(VariantCase("LSTM", "peephole", SHAPE)),
            measure(VariantCase("MinGRU", "", SHAPE)),
        )
    assert list(peephole) == [OURS, PLAIN, LOOP]
    assert list(minimal) == [OURS, LOOP]
    assert all(len(samples) == 2 for samples in peephole.values())
    assert not failed


def test_the_compiled_loops_process_computes_a_variant() -> None:
    (library,) = (library for library in LIBRARIES if library.name == COMPILED_LOOP)
    problem = Problem(VariantCase("LSTM", "zoneout", LayerShape(2, 3, 4, 5, ragged=False)))
    with workers((library,)) as running:
        external = running.worker(library).prepare(problem)
        got: dict[str, Tensor] = external.result()
        check(got, equations_result(problem), ours=False)
        assert external.seconds(1) > 0


def test_operations_count_every_matrix() -> None:
    case = VariantCase("LSTM", "proj_size", SHAPE)
    assert case.flops == 3 * 2 * 18 * (32 * 4 + 32 * 4 + 4 * 8)
    assert case.name == "variants/LSTM-proj_size/training/3x6x4x8-equal"
    assert VariantCase("MinGRU", "", SHAPE).name == "variants/MinGRU/training/3x6x4x8-equal"
