"""input, hx and lengths: the forms that are taken, and errors that give the rule and both values."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from throughtime.nn import GRU, LSTM, RNN
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError, ShapeError

X = torch.randn(5, 3, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "lengths", [[2, 5, 1], (2, 5, 1), np.array([2, 5, 1], dtype=np.int16), torch.tensor([2, 5, 1], dtype=torch.uint8)]
)
def test_every_form_of_lengths(lengths: Any) -> None:
    layer = GRU(2, 4)
    output, h_n = layer(X, lengths=lengths)
    assert torch.equal(output[[1, 4, 0], [0, 1, 2]], h_n[0])
    assert not output[2:, 0].any()
    assert not output[1:, 2].any()


def test_batch_first_with_lengths() -> None:
    layer = LSTM(2, 4, 2, bidirectional=True)
    first = LSTM(2, 4, 2, bidirectional=True, batch_first=True)
    first.load_state_dict(layer.state_dict())
    output, state = layer(X, lengths=[2, 5, 1])
    transposed, same_state = first(X.transpose(0, 1), lengths=[2, 5, 1])
    assert torch.equal(transposed.transpose(0, 1), output)
    assert all(torch.equal(a, b) for a, b in zip(state, same_state, strict=True))


@pytest.mark.parametrize("lengths", [3, [3], np.int64(3), torch.tensor(3)])
def test_unbatched_length(lengths: Any) -> None:
    layer = GRU(2, 4)
    output, h_n = layer(X[:, 0], lengths=lengths)
    assert output.shape == (5, 4)
    assert not output[3:].any()
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(h_n, layer(X[:3, 0])[1], rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([5, 0, 0], r"lengths\[1\] is 0 and seq_len is 5; leave empty sequences out of the batch$"),
        ([5, 5, 6], r"lengths\[2\] is 6 and seq_len is 5$"),
        ([5, -1, 6], r"lengths\[1\] is -1 and seq_len is 5"),
        ([5, 5], r"lengths must have shape \(batch,\) = \(3,\), as the input, but has \(2,\)"),
        ([[5, 5, 5]], r"lengths must have shape \(batch,\) = \(3,\), as the input, but has \(1, 3\)"),
        (5, r"lengths must have shape \(batch,\) = \(3,\), as the input, but has \(\)"),
        ([], "lengths must hold integers"),
        ([5.0, 5.0, 5.0], "lengths must hold integers, but its dtype is torch.float32"),
        ([None, 1, 2], r"lengths must be integers \(a tensor, list or array\), but is \[None, 1, 2\]"),
        ("abc", r"lengths must be integers \(a tensor, list or array\), but is 'abc'"),
        ([True, True, True], "lengths must hold integers, but its dtype is torch.bool"),
    ],
)
def test_wrong_lengths(lengths: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        RNN(2, 4)(X, lengths=lengths)


def test_lengths_with_a_packed_sequence() -> None:
    with pytest.raises(OptionError, match="lengths must be None with a PackedSequence"):
        RNN(2, 4)(pack_sequence([X[:, 0]]), lengths=[5])


H = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("layer", "x", "hx", "message"),
    [
        (RNN(2, 4), torch.zeros(5), None, r"input must have 2 axes \(unbatched\) or 3, but has 1"),
        (RNN(2, 4), torch.zeros(5, 3, 7), None, "input must have input_size = 2 features, its last axis, but has 7"),
        (RNN(2, 4), torch.zeros(0, 3, 2), None, r"input must have at least 1 step, but its shape is \(0, 3, 2\)"),
        (RNN(2, 4, 2), X, H[:1], r"h_0 must have shape \(num_layers \* num_directions, batch, hidden_size\), but \(1,"),
        (
            RNN(2, 4, 2),
            X[:, 0],
            H,
            r"h_0 must have shape \(num_layers \* num_directions, hidden_size\), but \(2, 3, 4\)",
        ),
        (
            RNN(2, 4, 2),
            X,
            H.double(),
            r"h_0 must have the input's dtype, .* see h_0.to\(torch.float32\)",
        ),
        (RNN(2, 4, 2), X, [H], "h_0 must be a tensor .* but is a list of 1"),
        (LSTM(2, 4, 2), X, H, r"hx of LSTM must be the pair \(h_0, c_0\), but is a tensor of shape \(2, 3, 4\)"),
        (LSTM(2, 4, 2), X, (H,), r"hx of LSTM must be the pair \(h_0, c_0\), but is a tuple of 1"),
        (LSTM(2, 4, 2), X, (H, H[:, :2]), r"c_0 must have shape .*, but \(2, 2, 4\) != \(2, 3, 4\)"),
        (GRU(2, [4, 5]), X, H, "h_0 must be a list of 2 tensors, one a layer, .* but is a tensor of shape"),
        (GRU(2, [4, 5]), X, [H[:1]], "h_0 must be a list of 2 tensors, one a layer, .* but is a list of 1"),
        (GRU(2, [4, 5]), X, [H[:1], H[:1]], r"h_0\[1\] must have shape .*, but \(1, 3, 4\) != \(1, 3, 5\)"),
        (RNN(2, 4), PackedSequence(torch.zeros(1, 1, 2), torch.tensor([1])), None, "data of a PackedSequence must"),
    ],
)
def test_wrong_shapes(layer: Any, x: Any, hx: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message) as error:
        layer(x, hx)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("x", [[[1.0, 2.0]], X.numpy(), None])
def test_an_input_that_is_no_tensor(x: Any) -> None:
    with pytest.raises(
        OptionError, match=f"input must be a tensor or a PackedSequence, not of type {type(x).__name__};"
    ):
        RNN(2, 4)(x)


def test_wrong_dtype() -> None:
    with pytest.raises(
        OptionError, match=r"input must have the layer's dtype, torch.float32, but has torch.float64; see input.to\("
    ):
        RNN(2, 4)(X.double())
