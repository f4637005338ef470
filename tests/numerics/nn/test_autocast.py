"""Under autocast on a CPU the core goes on in float32, whose results have nothing to lose and no time to gain."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

import throughtime.nn
from throughtime.nn import truncated
from throughtime.nn.base import Recurrent
from throughtime.spec.errors import OptionError, ShapeError

CELLS = ["RNN", "GRU", "LSTM"]
LENGTHS = [7, 4, 2, 1]
CALLS: dict[str, Callable[[Recurrent, Tensor, Any], Tensor]] = {
    "padded": lambda layer, x, hx: layer(x, hx)[0],
    "ragged": lambda layer, x, hx: layer(x, hx, LENGTHS)[0],
    "packed": lambda layer, x, hx: layer(pack_padded_sequence(x, LENGTHS), hx)[0].data,
    "end to end": lambda layer, x, hx: layer.end_to_end(x.flatten(0, 1), [7] * 4, hx)[0],
    "windows": lambda layer, x, hx: _windows(layer, x, hx),
}


def _windows(layer: Recurrent, x: Tensor, hx: Any) -> Tensor:
    outputs = []
    for window in truncated(layer, x, k1=3, k2=4, hx=hx):
        torch.autograd.backward(window.output.float().square().sum())
        outputs.append(window.output.detach())
    return torch.cat(outputs)


def _input(cell: str, dtype: torch.dtype) -> tuple[Tensor, Any]:
    torch.manual_seed(5)
    x, h_0, c_0 = torch.randn(7, 4, 5).to(dtype), torch.randn(2, 4, 6).to(dtype), torch.randn(2, 4, 6).to(dtype)
    return x.requires_grad_(), (h_0.requires_grad_(), c_0.requires_grad_()) if cell == "LSTM" else h_0.requires_grad_()


def _run(layer: Recurrent, call: str, cell: str, dtype: torch.dtype) -> list[Tensor]:
    """Output and gradients; those of a hidden state, too."""
    x, hx = _input(cell, dtype)
    y = CALLS[call](layer, x, hx)
    if y.requires_grad:
        torch.autograd.backward(y.float().square().sum())
    leaves = [x, *(hx if isinstance(hx, tuple) else (hx,)), *layer.parameters()]
    found = [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]
    assert len(found) == 1 + len(leaves)
    layer.zero_grad()
    return found


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("recompute", [False, 3])
def test_the_core_computes_what_it_does_without(cell: str, call: str, recompute: bool | int) -> None:
    layer = getattr(throughtime.nn, cell)(5, 6, 2, recompute=recompute, backend="native")
    expected = _run(layer, call, cell, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = _run(layer, call, cell, torch.float32)
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_other_operations_cast_down_counts_as_it_is(cell: str, call: str, dtype: torch.dtype) -> None:
    layer = getattr(throughtime.nn, cell)(5, 6, 2, backend="native")
    x, hx = _input(cell, dtype)
    pair = tuple(part.detach().float() for part in hx) if isinstance(hx, tuple) else hx.detach().float()
    expected = CALLS[call](layer, x.detach().float(), pair)
    with torch.autocast("cpu", dtype=dtype):
        got, *gradients = _run(layer, call, cell, dtype)
    assert got.dtype == torch.float32
    assert torch.equal(got, expected)
    assert gradients[0].dtype == dtype


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_a_stream_takes_what_the_layer_takes(backend: Any) -> None:
    layer = throughtime.nn.LSTM(5, 6, backend=backend)
    stream, x = layer.stream(4), torch.randn(3, 4, 5).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        steps = torch.stack([stream.step(x_t) for x_t in x])
    torch.testing.assert_close(steps.float(), layer(x.float())[0], rtol=0, atol=0.05 if backend == "torch" else 1e-6)
    with pytest.raises(ShapeError, match=r"of torch\.float32 on cpu, but is \(4, 5\) of torch\.bfloat16"):
        stream.step(x[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled() -> None:
    layer, x = throughtime.nn.LSTM(5, 6, backend="native"), torch.randn(7, 4, 5)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = compiled(x.bfloat16())
    assert torch.equal(output, layer(x.bfloat16().float())[0])


def test_second_derivatives_are_of_the_same_function() -> None:
    layer, x = throughtime.nn.GRU(3, 4, backend="native"), torch.randn(4, 2, 3, requires_grad=True)

    def first() -> Tensor:
        return torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)[0]

    (expected,) = torch.autograd.grad(first().square().sum(), x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        d_x = first()
    torch.testing.assert_close(torch.autograd.grad(d_x.square().sum(), x)[0], expected)


def test_layers_of_less_go_to_torch_and_the_wrong_input_is_said() -> None:
    x = torch.randn(4, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with pytest.raises(OptionError, match=r"float32 and float64, but the dtype is torch\.bfloat16"):
            throughtime.nn.GRU(3, 4, dtype=torch.bfloat16, backend="native")(x.bfloat16())
        with pytest.raises(OptionError, match=r"the input's is torch\.float64 and a weight's torch\.float32"):
            throughtime.nn.GRU(3, 4, backend="native")(x.double())
        layer = throughtime.nn.GRU(3, 4, dtype=torch.float64, backend="native")
        assert layer(x.double())[0].dtype == torch.float64
        with pytest.raises((OptionError, ShapeError), match=r"h_0|dtype"):
            throughtime.nn.GRU(3, 4, backend="native")(x, torch.zeros(1, 2, 4, dtype=torch.float64))


@pytest.mark.parametrize("cell", ["RNN", "GRU"])  # torch's own LSTM has no kernel for it on every CPU
def test_torch_s_operations_do_as_torch_s_layers(cell: str) -> None:
    torch.manual_seed(11)
    theirs = getattr(torch.nn, cell)(5, 6, 2)
    ours = getattr(throughtime.nn, cell)(5, 6, 2, backend="torch")
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(7, 4, 5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("call", CALLS)
def test_torch_s_operations_have_an_lstm_on_every_cpu(call: str) -> None:
    layer = throughtime.nn.LSTM(5, 6, 2, backend="torch")
    x, hx = _input("LSTM", torch.float32)
    expected = CALLS[call](layer, x, hx)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = CALLS[call](layer, x, hx)
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.05)
