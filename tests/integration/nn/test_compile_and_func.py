"""torch.func inside of torch.compile, torch.jit.trace, batched gradients: all give what plain calls give."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.nn import GRU, LSTM
from throughtime.spec.errors import OptionError

# torch's own: of what it has deprecated, of graphs that it leaves, of values that a trace makes constants
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning"
)


def _jvp(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    tangent: Tensor = torch.func.jvp(f, (x,), (torch.ones_like(x),))[1]
    return tangent


def _grad(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    gradient: Tensor = torch.func.grad(lambda q: f(q).sum())(x)
    return gradient


def _vmap(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    mapped: Tensor = torch.func.vmap(f, in_dims=1, out_dims=1)(x)
    return mapped


@pytest.mark.parametrize("transform", [_jvp, _grad, _vmap])
def test_torch_func_inside_of_compiled_code(transform: Callable[..., Tensor]) -> None:
    layer, x = GRU(4, 5), torch.randn(6, 3, 4)
    expected = transform(lambda q: layer(q)[0], x)
    torch._dynamo.reset()
    compiled = torch.compile(lambda q: transform(lambda r: layer(r)[0], q), backend="aot_eager")
    torch.testing.assert_close(compiled(x), expected)
    assert expected.abs().max() > 0


def test_torchs_own_lstm_is_compiled_for_training() -> None:
    layer, x = LSTM(4, 5, backend="torch"), torch.randn(6, 3, 4)
    layer(x)[0].sum().backward()
    expected = layer.get_parameter("weight_hh_l0").grad
    layer.zero_grad()
    torch._dynamo.reset()
    torch.compile(layer, backend="aot_eager")(x)[0].sum().backward()
    torch.testing.assert_close(layer.get_parameter("weight_hh_l0").grad, expected)


def test_torchs_own_lstm_stays_in_graphs_that_train_nothing() -> None:
    layer, x = LSTM(4, 5, backend="torch"), torch.randn(6, 3, 4)
    expected = layer(x)[0]
    program = torch.export.export(layer, (x,), strict=True).module()
    torch.testing.assert_close(program(x)[0], expected)
    torch._dynamo.reset()
    layer.requires_grad_(False)
    torch.testing.assert_close(torch.compile(layer, fullgraph=True, backend="aot_eager")(x)[0], expected)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_several_gradients_at_once(cell: str) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5)
    x = torch.randn(6, 3, 4, requires_grad=True)
    output = layer(x)[0]
    upstream = torch.randn(2, *output.shape)
    [found] = torch.autograd.grad(output, [x], upstream, is_grads_batched=True, retain_graph=True)
    assert not found.requires_grad
    for gradient, d_output in zip(found, upstream, strict=True):
        torch.testing.assert_close(gradient, torch.autograd.grad(output, [x], d_output, retain_graph=True)[0])


class _WithLengths(torch.nn.Module):
    def __init__(self, layer: torch.nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor = self.layer(x, lengths=lengths)[0]
        return output


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_trace_with_whole_sequences_holds_for_ragged_ones(cell: str) -> None:
    module = _WithLengths(getattr(throughtime.nn, cell)(4, 5).eval())
    x = torch.randn(7, 3, 4)
    traced: Any = torch.jit.trace(module, (x, torch.tensor([7, 7, 7])))  # type: ignore[no-untyped-call]
    lengths = torch.tensor([7, 3, 2])
    torch.testing.assert_close(traced(x, lengths), module(x, lengths))


@pytest.mark.parametrize(("cell", "options"), [("RNN", {}), ("GRU", {"bidirectional": True}), ("LSTM", {})])
def test_a_trace_holds_for_other_steps_and_batches(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5, 2, **options).eval()
    traced: Any = torch.jit.trace(layer, (torch.randn(7, 3, 4),))  # type: ignore[no-untyped-call]
    x = torch.randn(11, 2, 4)
    torch.testing.assert_close(traced(x), layer(x))


def test_a_program_exported_without_gradients_says_that_it_has_none() -> None:
    layer = _WithLengths(LSTM(4, 5))
    given = (torch.randn(6, 3, 4), torch.tensor([6, 2, 3]))
    with torch.no_grad():
        program = torch.export.export(layer, given).module()
    with pytest.raises(OptionError, match="made with gradients off, so it has no backward pass"):
        program(*given).sum().backward()
