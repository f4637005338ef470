"""Layers under torch.compile and torch.export: no graph break, the same numbers, lengths that change."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.nn import operators
from throughtime.spec import tolerances
from throughtime.spec.cells import LayerOptions

ROW = tolerances.GRADIENT["float32"]
CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {"bidirectional": True, "num_layers": 2}),
]
# torch's compiler itself uses what torch has deprecated
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def forget_what_was_compiled() -> Iterator[None]:
    """A method may be compiled only so many times, however many layers it belongs to."""
    yield
    torch._dynamo.reset()


def _results(function: Any, layer: torch.nn.Module, x: Tensor, lengths: Tensor) -> list[Tensor]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    output, _ = function(x, None, lengths)
    output.square().sum().backward()
    assert x.grad is not None
    return [output.detach(), x.grad, *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]


@pytest.mark.parametrize(("cell", "options"), CELLS)
def test_compiled_whole(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5, **options)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for lengths in ([6, 2, 3], [1, 6, 6], [4, 4, 4]):
        x, given = torch.randn(6, 3, 4), torch.tensor(lengths)
        for ours, eager in zip(_results(compiled, layer, x, given), _results(layer, layer, x, given), strict=True):
            torch.testing.assert_close(ours, eager, rtol=ROW.rtol, atol=ROW.atol)


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"weight_dropout": 0.3}),
    ("LSTM", {"layer_norm": True, "peephole": True, "zoneout": 0.2, "recurrent_dropout": 0.3, "weight_dropout": 0.3}),
    ("LSTM", {"coupled_gates": True, "proj_size": 2}),
    ("GRU", {"layer_norm": True, "zoneout": 0.2, "reset_after": False}),
    ("MinGRU", {}),
    ("MinLSTM", {"zoneout": 0.2}),
    ("IndRNN", {"bidirectional": True}),
]


@pytest.mark.parametrize(("cell", "options"), VARIANTS)
def test_variants_compiled_whole_with_the_same_masks(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5, **options)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(6, 3, 4)
    results = []
    for function in (compiled, layer):
        torch.manual_seed(2)
        output, _ = function(x)
        results.append([output.detach(), *torch.autograd.grad(output.square().sum(), list(layer.parameters()))])
    torch.testing.assert_close(*results, rtol=ROW.rtol, atol=ROW.atol)


def test_layers_that_differ_in_their_shares_compiled_one_after_the_other() -> None:
    for share in (0.1, 0.3, 0.4):
        layer = throughtime.nn.LSTM(4, 5, recurrent_dropout=share, zoneout=share, weight_dropout=share)
        results = []
        for function in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
            torch.manual_seed(2)
            results.append(function(torch.ones(6, 3, 4))[0])
        torch.testing.assert_close(*results, rtol=ROW.rtol, atol=ROW.atol)


def test_compiling_warns_of_no_cache_of_ours() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.compile(throughtime.nn.GRU(4, 5), fullgraph=True, backend="aot_eager")(torch.randn(6, 3, 4))
    assert not [str(warning.message) for warning in caught if "cache" in str(warning.message)]


def test_a_wrong_length_is_refused_when_it_runs() -> None:
    layer = throughtime.nn.GRU(4, 5)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        compiled(torch.randn(6, 2, 4), None, torch.tensor([6, 1]))
        with pytest.raises(Exception, match=r"lengths must be in 1\.\.6, but one is 7"):
            compiled(torch.randn(6, 2, 4), None, torch.tensor([7, 1]))


@pytest.mark.parametrize(("cell", "options"), CELLS)
def test_exported_with_lengths_and_steps_that_change(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5, **options).eval()
    steps, batch = torch.export.Dim("steps", min=2, max=64), torch.export.Dim("batch", min=2, max=64)
    example = (torch.randn(6, 3, 4), None, torch.tensor([6, 2, 3]))
    exported = torch.export.export(layer, example, dynamic_shapes=({0: steps, 1: batch}, None, {0: batch}))
    for shape, lengths in (((6, 3, 4), [6, 2, 3]), ((9, 4, 4), [1, 9, 9, 5])):
        x, given = torch.randn(*shape), torch.tensor(lengths)
        with torch.no_grad():
            ours, _ = exported.module()(x, None, given)
            eager, _ = layer(x, None, given)
        torch.testing.assert_close(ours, eager, rtol=ROW.rtol, atol=ROW.atol)


def test_the_operators_pass_torchs_own_checks() -> None:
    torch.library.opcheck(torch.ops.throughtime.booleans.default, (torch.tensor([7]), [3, 5], 100))
    x = torch.randn(6, 3, 4, requires_grad=True)
    weights = [torch.randn(20, 4), torch.randn(20, 5), torch.randn(20), torch.randn(20)]
    for weight in weights:
        weight.requires_grad_()
    lstm = operators.written(LayerOptions(cell="LSTM", input_size=4, hidden_size=(5,)))
    arguments: Any = (x, torch.tensor([6, 2, 3]), False, None, None, weights, [], lstm, True)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.throughtime.layer_forward.default, arguments, test_utils=checks)
    for by_step in (False, True):
        rows = torch.randn(11, 4, requires_grad=True)
        arguments = (rows, torch.tensor([6, 3, 2]), by_step, None, None, weights, [], lstm, True)
        torch.library.opcheck(torch.ops.throughtime.layer_forward.default, arguments, test_utils=checks)
