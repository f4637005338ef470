"""Views whose memory holds the other sign: torch gives them for the imaginary part of a conjugate."""

import torch
from torch import Tensor

from throughtime.nn import GRU, LSTM
from throughtime.nn.pooling import pool


def _seen(*shape: int) -> tuple[Tensor, Tensor]:
    """A negated view that is contiguous, and a tensor of the same values."""
    view = torch._neg_view(torch.randn(*shape))
    assert view.is_neg()
    return view, view.resolve_neg()


def test_input_of_one_feature() -> None:
    view = torch.randn(5, 3, 1, dtype=torch.complex64).conj().imag
    assert view.is_neg()
    layer = GRU(1, 4, backend="native")
    assert torch.equal(layer(view)[0], layer(view.resolve_neg())[0])


def test_input_state_weights_and_upstream_gradients() -> None:
    layer = LSTM(3, 4, backend="native")
    pairs = [_seen(5, 2, 3), _seen(1, 2, 4), _seen(1, 2, 4), _seen(5, 2, 4)]
    weights = {name: _seen(*p.shape) for name, p in layer.named_parameters()}
    results = []
    for which in (0, 1):
        x, h_0, c_0, d_y = (pair[which] for pair in pairs)
        x = x.detach().requires_grad_()
        y, _ = torch.func.functional_call(layer, {name: w[which] for name, w in weights.items()}, (x, (h_0, c_0)))
        results.append([y.detach(), *torch.autograd.grad(y, x, d_y)])
    for got, expected in zip(*results, strict=True):
        assert torch.equal(got, expected)


def test_a_stream() -> None:
    layer = GRU(3, 4, backend="native")
    (x, x_seen), (h, h_seen) = _seen(2, 3), _seen(1, 2, 4)
    streams = [layer.stream(2), layer.stream(2)]
    streams[0].state, streams[1].state = h, h_seen
    assert torch.equal(streams[0].step(x), streams[1].step(x_seen))


def test_pooling() -> None:
    view, seen = _seen(5, 3)
    for got, expected in zip(*(pool(v, [2, 3], maximum=True, mean=True) for v in (view, seen)), strict=True):
        assert torch.equal(got, expected)
