"""Step by step gives what the whole sequence gives."""

from typing import Any

import pytest
import torch

import throughtime.nn
from throughtime.nn import GRU, LSTM
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError, ShapeError

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
    ("LSTM", {"layer_norm": True, "peephole": True, "zoneout": (0.2, 0.1), "proj_size": 2}),
    ("LSTM", {"coupled_gates": True, "recurrent_dropout": 0.3, "weight_dropout": 0.3}),
    ("GRU", {"layer_norm": True, "zoneout": 0.2}),
    ("MinGRU", {"zoneout": 0.2}),
    ("MinLSTM", {}),
    ("IndRNN", {}),
]


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("hidden_size", [[6, 6], [3, 17]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_equal_the_sequence(
    cell: str,
    options: dict[str, Any],
    batch: int,
    hidden_size: list[int],
    dtype: torch.dtype,
    backend: str,
    skip_if_the_core_lacks: Any,
) -> None:
    layer = getattr(throughtime.nn, cell)(5, hidden_size, dtype=dtype, backend=backend, **options).eval()
    skip_if_the_core_lacks(layer)
    x = torch.randn(7, batch, 5, dtype=dtype)
    with torch.no_grad():
        _, first = layer(x[:3])
        whole, last = layer(x)
    row = tolerances.OUTPUT[str(dtype).removeprefix("torch.")]
    stream = layer.stream(batch)
    for t in range(7):
        torch.testing.assert_close(stream.step(x[t]), whole[t], rtol=row.rtol, atol=row.atol)
    torch.testing.assert_close(stream.state, last, rtol=row.rtol, atol=row.atol)

    resumed = layer.stream(batch)
    resumed.state = first
    for t in range(3, 7):
        torch.testing.assert_close(resumed.step(x[t]), whole[t], rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True}, {"peephole": True, "zoneout": (0.2, 0.1), "proj_size": 64}]
)
def test_wide_steps_that_threads_share_equal_those_of_one(options: dict[str, Any]) -> None:
    layer, x = LSTM(40, 512, **options).eval(), torch.randn(30, 1, 40)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            stream = layer.stream()
            results.append([*(stream.step(x_t) for x_t in x), *stream.state])
    finally:
        torch.set_num_threads(before)
    for several in results[1:]:
        assert all(torch.equal(ours, expected) for ours, expected in zip(several, results[0], strict=True))


def test_weights_are_those_of_its_beginning_and_every_stream_has_a_state_of_its_own() -> None:
    layer = LSTM(3, 4)
    x = torch.randn(2, 3)
    one, other = layer.stream(2), layer.stream(2)
    expected = one.step(x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert torch.equal(other.step(x), expected)
    assert not torch.equal(layer.stream(2).step(x), expected)


def test_a_layer_in_training_streams_as_in_evaluation() -> None:
    layer = LSTM(3, 4, zoneout=0.3, recurrent_dropout=0.3, weight_dropout=0.3)
    x = torch.randn(1, 2, 3)
    row = tolerances.OUTPUT["float32"]
    streamed = layer.stream(2).step(x[0])
    torch.testing.assert_close(streamed, layer.eval()(x)[0][0], rtol=row.rtol, atol=row.atol)


def test_input_may_lie_anywhere(backend: str) -> None:
    layer = GRU(3, 4, backend=backend)  # type: ignore[arg-type]
    x = torch.randn(3, 2).t()
    assert torch.equal(layer.stream(2).step(x), layer.stream(2).step(x.contiguous()))


def test_it_says_what_it_is() -> None:
    layer = throughtime.nn.GRU(5, [7, 3], backend="torch")
    assert repr(layer.stream(2)) == "Stream(GRU: 5, 7, 3, batch=2, backend='torch')"


def test_what_it_refuses() -> None:
    with pytest.raises(OptionError, match="a bidirectional layer cannot stream"):
        GRU(3, 4, bidirectional=True).stream()
    for batch in (0, "1", True):
        with pytest.raises(OptionError, match=f"batch must be an integer of at least 1, but is {batch!r}"):
            GRU(3, 4).stream(batch)  # type: ignore[arg-type]
    stream = GRU(3, 4).stream(2)
    other = (torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, device="meta"), torch.zeros(2, 3).bool())
    for x in (torch.zeros(2, 4), torch.zeros(3), *other):
        with pytest.raises(ShapeError, match=r"x must be \(batch, input_size\) = \(2, 3\)"):
            stream.step(x)
    with pytest.raises(ShapeError, match=r"x must be dense, but its layout is torch\.sparse_coo; see Tensor\.to_dense"):
        stream.step(torch.zeros(2, 3).to_sparse())
    for given in (torch.zeros(2, 3).numpy(), [[0.0] * 3] * 2):
        with pytest.raises(ShapeError, match=f"x must be a tensor .* but is of type {type(given).__name__}; see torch"):
            stream.step(given)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="h_0 must have shape"):
        stream.state = torch.zeros(1, 3, 4)
