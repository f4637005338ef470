"""Packed weights are never stale, through whatever door the weights change; and are packed once where they do not."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.kernels import _core
from throughtime.nn import LSTM, packing
from throughtime.nn.arrays import array


def _sgd(layer: torch.nn.Module) -> None:
    torch.optim.SGD(layer.parameters(), lr=0.1).step()


def _adamw(layer: torch.nn.Module) -> None:
    torch.optim.AdamW(layer.parameters(), lr=0.1).step()


def _adamw_fused(layer: torch.nn.Module) -> None:
    torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True).step()  # changes values, but no version


def _adamw_foreach(layer: torch.nn.Module) -> None:
    torch.optim.AdamW(layer.parameters(), lr=0.1, foreach=True).step()


def _load(layer: torch.nn.Module) -> None:
    layer.load_state_dict({name: torch.randn_like(p) for name, p in layer.named_parameters()})


def _data(layer: torch.nn.Module) -> None:
    for p in layer.parameters():
        p.data.mul_(0.5)


def _one_element(layer: torch.nn.Module) -> None:
    next(layer.parameters()).data[3, 1] += 1e-3


def _new_data(layer: torch.nn.Module) -> None:
    for p in layer.parameters():
        p.data = torch.randn_like(p)


def _numpy(layer: torch.nn.Module) -> None:
    view: np.ndarray = next(layer.parameters()).detach().numpy()
    view *= 0.5


def _replaced(layer: torch.nn.Module) -> None:
    layer.weight_hh_l0 = torch.nn.Parameter(torch.randn(24, 6))


CHANGES = [
    _sgd,
    _adamw,
    _adamw_fused,
    _adamw_foreach,
    _load,
    _data,
    _one_element,
    _new_data,
    _numpy,
    _replaced,
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_reaches_forward_and_backward(change: Callable[[torch.nn.Module], None]) -> None:
    layer = LSTM(5, 6)
    given = torch.randn(7, 3, 5)

    def results(of: torch.nn.Module) -> list[Tensor]:
        of.zero_grad()
        x = given.clone().requires_grad_()
        output, _ = of(x)
        output.square().sum().backward()
        gradients = [tensor.grad for tensor in (x, *of.parameters())]
        return [output.detach(), *(gradient.clone() for gradient in gradients if gradient is not None)]

    before = results(layer)
    change(layer)
    after = results(layer)
    fresh = LSTM(5, 6)
    fresh.load_state_dict(layer.state_dict())
    for ours, expected in zip(after, results(fresh), strict=True):
        assert torch.equal(ours, expected)
    assert not torch.equal(after[0], before[0])


def _negated(p: Tensor) -> None:
    p.neg_()


def _halved(p: Tensor) -> None:
    p.mul_(0.5)


def _doubled(p: Tensor) -> None:
    p.mul_(2.0)


def _two_signs(p: Tensor) -> None:
    p.view(-1)[3 : 3 + 512 : 256].neg_()


def _two_swapped(p: Tensor) -> None:
    p.view(-1)[[3, 259]] = p.view(-1)[[259, 3]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("isa", _core.instruction_sets())
@pytest.mark.parametrize("change", [_negated, _halved, _doubled, _two_signs, _two_swapped])
def test_changes_of_signs_and_exponents_are_seen(
    change: Callable[[Tensor], None], isa: str, dtype: torch.dtype
) -> None:
    # All bits that change are high ones, in many words or in words that the same lane of a vector mixes.
    kind = _core.LayerFloat32 if dtype == torch.float32 else _core.LayerFloat64
    layer = kind(2, 0, True, 4, 4, 1, isa)
    for shape in [(128, 128), (512, 128), (2048, 512), (300, 100)]:
        weight = torch.randn(shape, dtype=dtype)
        before = layer.fingerprint([array(weight)])
        change(weight)
        assert layer.fingerprint([array(weight)]) != before, shape


@pytest.mark.parametrize("change", [_negated, _halved])
def test_a_layer_sees_changes_of_signs_and_exponents(change: Callable[[Tensor], None]) -> None:
    layer, expected, x = LSTM(64, 128), torch.nn.LSTM(64, 128), torch.randn(3, 2, 64)
    with torch.no_grad():
        layer(x)
        change(layer.get_parameter("weight_hh_l0"))
        expected.load_state_dict(layer.state_dict())
        torch.testing.assert_close(layer(x)[0], expected(x)[0])


def test_a_copy_has_weights_of_its_own() -> None:
    layer = LSTM(5, 6)
    x = torch.randn(7, 3, 5)
    expected = layer(x)[0].detach()
    twin = copy.deepcopy(layer)
    _adamw_fused_step = torch.optim.SGD(twin.parameters(), lr=0.1)
    twin(x)[0].sum().backward()
    _adamw_fused_step.step()
    assert not torch.equal(twin(x)[0], expected)
    assert torch.equal(layer(x)[0], expected)


def test_gradients_are_those_at_the_weights_of_forward() -> None:
    # Though they change before backward, by a door that torch does not watch.
    layer, twin = LSTM(5, 6), LSTM(5, 6)
    twin.load_state_dict(layer.state_dict())
    x = torch.randn(7, 3, 5, requires_grad=True)
    same = x.detach().clone().requires_grad_()
    output = layer(x)[0]
    _data(layer)
    output.sum().backward()
    twin(same)[0].sum().backward()
    for ours, expected in zip((x, *layer.parameters()), (same, *twin.parameters()), strict=True):
        assert ours.grad is not None
        assert expected.grad is not None
        assert torch.equal(ours.grad, expected.grad)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_the_same_weights_are_packed_once(cell: str) -> None:
    layer = getattr(throughtime.nn, cell)(5, 6)
    x = torch.randn(7, 3, 5)
    layer(x)[0].sum().backward()
    packs = list(packing._kept[layer.weight_ih_l0][2].values())
    assert len(packs) == 2  # for forward and for backward
    layer(x)[0].sum().backward()
    assert all(now is before for now, before in zip(packing._kept[layer.weight_ih_l0][2].values(), packs, strict=True))
    layer.invalidate()
    assert layer.weight_ih_l0 not in packing._kept


def test_a_layer_that_is_gone_takes_its_packed_weights_along() -> None:
    layer = LSTM(5, 6)
    layer(torch.randn(7, 3, 5))
    kept = len(packing._kept)
    del layer
    assert len(packing._kept) == kept - 1
