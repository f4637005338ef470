"""Tensors that have a shape and no values, as fake ones outside of their mode: an error, where there was a crash."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from throughtime.nn import GRU, LSTM
from throughtime.spec.errors import ShapeError


def _fake(*shape: int) -> Tensor:
    with FakeTensorMode():
        return torch.zeros(*shape)


@pytest.fixture(autouse=True)
def quiet(recwarn: pytest.WarningsRecorder) -> None:
    """torch warns that somebody reads such a tensor's pointer."""


@pytest.mark.parametrize("training", [False, True])
def test_a_layer(training: bool) -> None:
    with torch.set_grad_enabled(training), pytest.raises(ShapeError, match="input has a shape, but no values"):
        LSTM(3, 4, backend="native")(_fake(5, 2, 3))


def test_its_state_and_weights() -> None:
    layer, x = GRU(3, 4, backend="native"), torch.zeros(5, 2, 3)
    with torch.no_grad():
        with pytest.raises(ShapeError, match="h_0 has a shape, but no values"):
            layer(x, _fake(1, 2, 4))
        weights = {name: _fake(*p.shape) for name, p in layer.named_parameters()}
        with pytest.raises(ShapeError, match="array has a shape, but no values"):
            torch.func.functional_call(layer, weights, (x,))


def test_a_stream() -> None:
    with pytest.raises(ShapeError, match="x has a shape, but no values"):
        GRU(3, 4, backend="native").stream(2).step(_fake(2, 3))
