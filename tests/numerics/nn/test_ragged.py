"""Ragged lengths are exact: equal to packed sequences of torch, and to each sequence run alone; padding is inert."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from throughtime.nn import fused
from throughtime.spec import tolerances

LENGTHS = [4, 9, 1, 9, 2, 7]
SEQ_LEN = 9
OUTPUT = tolerances.OUTPUT["float64"]

FUSED: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("GRU", {}),
    ("LSTM", {}),
    ("LSTM", {"bias": False}),
]
LOOPED: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "identity"}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"reset_after": False, "bias": False}),
]


class _Packed:
    """torch's own layer, fed padded input by way of packed sequences."""

    def __init__(self, inner: torch.nn.Module) -> None:
        self.inner = inner
        self.zero_grad = inner.zero_grad
        self.parameters = inner.parameters
        self.named_parameters = inner.named_parameters

    def __call__(self, x: Tensor, hx: Any, lengths: list[int]) -> Any:
        output, state = self.inner(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), hx)
        return pad_packed_sequence(output, total_length=x.shape[0])[0], state


def _state(cell: str, num_layers: int, directions: int, dtype: torch.dtype = torch.float64) -> Any:
    h_0, c_0 = torch.randn(2, num_layers * directions, len(LENGTHS), 6, dtype=dtype).unbind(0)
    return (h_0, c_0) if cell == "LSTM" else h_0


@pytest.fixture(params=["native", "held", "packed"])
def options_of_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a layer that computes natively, or in one of both ways of torch's fused kernels."""
    monkeypatch.setattr(fused, "prefers_packing", lambda ragged: request.param == "packed")
    return {"backend": "native" if request.param == "native" else "torch"}


@pytest.mark.parametrize(("cell", "options"), FUSED)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("given_state", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_packed_sequences_of_torch(
    cell: str,
    options: dict[str, Any],
    bidirectional: bool,
    given_state: bool,
    dtype: torch.dtype,
    options_of_way: dict[str, Any],
    run: Callable[..., Any],
    close: Callable[..., None],
) -> None:
    shape: dict[str, Any] = {"bidirectional": bidirectional, "dtype": dtype}
    ours = getattr(throughtime.nn, cell)(5, 6, 2, **shape, **options, **options_of_way)
    theirs = getattr(torch.nn, cell)(5, 6, 2, bidirectional=bidirectional, dtype=dtype, **options)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(SEQ_LEN, len(LENGTHS), 5, dtype=dtype)
    hx = _state(cell, 2, 1 + bidirectional, dtype) if given_state else None
    expected = run(_Packed(theirs), x, hx, lengths=LENGTHS)
    close(run(ours, x, hx, lengths=LENGTHS), expected)


@pytest.mark.parametrize(("cell", "options"), FUSED + LOOPED)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("hidden_size", [[6, 6], [3, 7]])
def test_equals_each_sequence_alone(
    cell: str,
    options: dict[str, Any],
    bidirectional: bool,
    hidden_size: list[int],
    options_of_way: dict[str, Any],
) -> None:
    shape: dict[str, Any] = {"bidirectional": bidirectional, "dtype": torch.float64}
    layer = getattr(throughtime.nn, cell)(5, hidden_size, **shape, **options, **options_of_way)
    x = torch.randn(SEQ_LEN, len(LENGTHS), 5, dtype=torch.float64)
    output, state = layer(x, lengths=LENGTHS)

    def flat(nested: Any) -> list[Tensor]:
        return [nested] if isinstance(nested, Tensor) else [leaf for part in nested for leaf in flat(part)]

    for b, length in enumerate(LENGTHS):
        alone, alone_state = layer(x[:length, b : b + 1])
        pairs = [(output[:length], alone), *zip(flat(state), flat(alone_state), strict=True)]
        for ours, theirs in pairs:
            torch.testing.assert_close(ours[:, b : b + 1], theirs, rtol=OUTPUT.rtol, atol=OUTPUT.atol)
        assert not output[length:, b].any()


@pytest.mark.parametrize(("cell", "options"), FUSED + LOOPED)
@pytest.mark.parametrize("filler", [float("nan"), float("inf"), 1e30])
def test_what_stands_in_the_padding_is_inert(
    cell: str, options: dict[str, Any], filler: float, options_of_way: dict[str, Any], run: Callable[..., Any]
) -> None:
    layer = getattr(throughtime.nn, cell)(5, 6, 2, bidirectional=True, **options, **options_of_way)
    x = torch.randn(SEQ_LEN, len(LENGTHS), 5)
    past = torch.arange(SEQ_LEN)[:, None] >= torch.tensor(LENGTHS)
    x[past] = 0.0
    clean = run(layer, x.clone(), lengths=LENGTHS)
    x[past] = filler
    dirty = run(layer, x, lengths=LENGTHS)
    for ours, theirs in ((dirty.values, clean.values), (dirty.gradients, clean.gradients)):
        for name in theirs:
            assert torch.equal(ours[name], theirs[name]), name
    assert not dirty.gradients["input"][past].any()
    assert not dirty.values["output"][past].any()


@pytest.mark.parametrize("cell", ["LSTM", "RNN"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_long_padding_changes_no_bit(cell: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Held over hundreds of steps: were a gate 1 − ε, c_n would decay; were relu's h free, it would overflow."""
    monkeypatch.setattr(fused, "prefers_packing", lambda ragged: False)
    options = {"nonlinearity": "relu"} if cell == "RNN" else {}
    layer = getattr(throughtime.nn, cell)(5, 6, dtype=dtype, backend="torch", **options)
    with torch.no_grad():
        layer.weight_hh_l0.mul_(3.0)
    short = torch.randn(3, 2, 5, dtype=dtype)
    results = []
    for seq_len in (4, 600):
        x = torch.zeros(seq_len, 2, 5, dtype=dtype)
        x[:3] = short
        x.requires_grad_()
        layer.zero_grad()
        output, state = layer(x, lengths=[3, 2])
        values = [output[:3], *(state if cell == "LSTM" else [state])]
        torch.autograd.backward(torch.stack([value.square().sum() for value in values]).sum())
        assert x.grad is not None
        results.append([*values, x.grad[:3], *(parameter.grad for parameter in layer.parameters())])
    for few, many in zip(*results, strict=True):
        assert torch.isfinite(few).all()
        assert torch.equal(many, few)
