"""Initial values: each scheme's own property, from torch's seed, and combinations that mean nothing are refused."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from throughtime.nn import GRU, LSTM, RNN, IndRNN, MinGRU, MinLSTM
from throughtime.spec.cells import gate_rows
from throughtime.spec.errors import OptionError


def _blocks(layer: Any, name: str) -> dict[str, Tensor]:
    """Gate → rows of layer 0."""
    options = layer.options
    value = getattr(layer, name).detach()
    return {gate: value[gate_rows(options.gates, gate, options.hidden_size[0])] for gate in options.gates}


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"peephole": True}, {"zoneout": 0.2}, {"proj_size": 3}])
def test_torchs_values_whatever_the_variant(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    ours = LSTM(4, 5, 2, bidirectional=True, **options)
    torch.manual_seed(1)
    theirs = torch.nn.LSTM(4, 5, 2, bidirectional=True, proj_size=options.get("proj_size", 0))
    for name, value in theirs.named_parameters():
        assert torch.equal(getattr(ours, name), value), name
    neutral = {"weight_peephole": 0.0, "norm_ih": 1.0, "norm_hh": 1.0, "norm_c": 1.0, "bias_c": 0.0}
    for name, value in ours.named_parameters():
        if name.split("_l")[0] in neutral:
            assert torch.equal(value, torch.full_like(value, neutral[name.split("_l")[0]]))


@pytest.mark.parametrize("cell", [RNN, GRU, LSTM])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_orthogonal(cell: Any, dtype: torch.dtype) -> None:
    layer = cell(7, [24, 6], init="orthogonal", dtype=dtype)
    for block in _blocks(layer, "weight_hh_l0").values():
        product = block.double() @ block.double().t()
        torch.testing.assert_close(
            product, torch.eye(24).double(), atol=5e-2 if dtype == torch.bfloat16 else 1e-5, rtol=0
        )
    bound = math.sqrt(6 / (7 + 24))
    for block in _blocks(layer, "weight_ih_l0").values():
        assert 0.9 * bound < block.abs().max() <= bound * 1.01
    assert not layer.bias_ih_l0.any()
    assert not layer.bias_hh_l1.any()


def test_orthogonal_with_a_projection() -> None:
    layer: Any = LSTM(7, 24, proj_size=5, init="orthogonal")
    hr = layer.weight_hr_l0.detach()
    torch.testing.assert_close(hr @ hr.t(), torch.eye(5), atol=1e-5, rtol=0)
    for block in _blocks(layer, "weight_hh_l0").values():
        torch.testing.assert_close(block.t() @ block, torch.eye(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", [RNN, GRU, LSTM, MinGRU, MinLSTM])
def test_xavier(cell: Any) -> None:
    layer = cell(7, 40, init="xavier")
    for name, value in layer.named_parameters():
        if name.startswith("bias"):
            assert not value.any()
            continue
        bound = math.sqrt(6 / (40 + value.shape[1]))
        for block in _blocks(layer, name).values():
            assert 0.9 * bound < block.abs().max() <= bound
            assert abs(block.std().item() / (bound / math.sqrt(3)) - 1) < 0.1


def test_identity() -> None:
    layer: Any = RNN(7, [30, 4], nonlinearity="relu", init="identity")
    assert torch.equal(layer.weight_hh_l0, torch.eye(30))
    assert not layer.bias_ih_l0.any()
    assert not layer.bias_hh_l0.any()
    assert abs(layer.weight_ih_l0.std().item() / 0.001 - 1) < 0.2
    units: Any = IndRNN(7, 30, init="identity")
    assert torch.equal(units.weight_hh_l0, torch.ones(30))
    # a zero input is remembered for ever
    h_0 = torch.rand(1, 2, 30)
    assert torch.equal(units(torch.zeros(9, 2, 7), h_0)[1], h_0)


@pytest.mark.parametrize(
    ("cell", "keeping", "sign", "other"),
    [(LSTM, "f", 1, "i"), (GRU, "z", 1, None), (MinGRU, "z", -1, None), (MinLSTM, "f", 1, "i")],
)
def test_chrono(cell: Any, keeping: str, sign: int, other: str | None) -> None:
    t_max = 50
    torch.manual_seed(0)
    layer = cell(3, 400, init=("chrono", t_max), bidirectional=True)
    for name in ("bias_ih_l0", "bias_ih_l0_reverse"):
        blocks = _blocks(layer, name)
        lasting = (sign * blocks[keeping].double()).exp()
        assert 1 <= lasting.min() < 2
        assert t_max - 2 < lasting.max() <= t_max - 1 + 1e-3
        assert abs(lasting.mean().item() / (t_max / 2) - 1) < 0.1
        if other is not None:
            assert torch.equal(blocks[other], -blocks[keeping])
        for gate, block in blocks.items():
            assert gate in (keeping, other) or not block.any()
    assert not torch.equal(layer.bias_ih_l0, layer.bias_ih_l0_reverse)
    if cell in (LSTM, GRU):
        assert not layer.bias_hh_l0.any()


def test_chrono_keeps_the_state_as_long_as_it_says() -> None:
    """GRU's z keeps the old state, so a unit's memory of t steps is z = 1 − 1 / t."""
    layer = GRU(3, 500, init=("chrono", 100))
    z = torch.sigmoid(_blocks(layer, "bias_ih_l0")["z"])
    lasting = 1 / (1 - z)
    assert lasting.min() >= 2
    assert lasting.max() <= 100.5


def test_chrono_with_coupled_gates_and_other_parameters() -> None:
    layer = LSTM(3, 24, coupled_gates=True, init=("chrono", 20))
    for block in _blocks(layer, "weight_hh_l0").values():
        torch.testing.assert_close(block @ block.t(), torch.eye(24), atol=1e-5, rtol=0)
    blocks = _blocks(layer, "bias_ih_l0")
    assert blocks["f"].min() >= 0
    assert not blocks["o"].any()


@pytest.mark.parametrize("init", ["torch", "orthogonal", "xavier", ("chrono", 30)])
def test_the_seed_decides_and_reset_draws_anew(init: Any) -> None:
    torch.manual_seed(3)
    one: Any = LSTM(4, 5, 2, init=init)
    torch.manual_seed(3)
    other: Any = LSTM(4, 5, 2, init=init)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    other.reset_parameters()
    assert not torch.equal(one.weight_hh_l1, other.weight_hh_l1)


@pytest.mark.parametrize("init", ["orthogonal", "xavier"])
def test_forget_bias_comes_after(init: Any) -> None:
    layer = LSTM(4, 5, init=init, forget_bias=2.0)
    blocks = _blocks(layer, "bias_ih_l0")
    assert torch.equal(blocks.pop("f"), torch.full((5,), 2.0))
    assert not any(block.any() for block in blocks.values())


@pytest.mark.parametrize("init", ["torch", "orthogonal", "identity", ("chrono", 9)])
def test_on_the_meta_device(init: Any) -> None:
    layer: Any
    layer = (
        RNN(3, 4, nonlinearity="relu", init=init, device="meta")
        if init == "identity"
        else LSTM(3, 4, init=init, device="meta")
    )
    assert layer.weight_hh_l0.is_meta


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LSTM(3, 4, init="kaiming"), "init must be one of torch, orthogonal, xavier, identity or"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, init="chrono"), r"or \(.chrono., t_max\), but is .chrono."),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, init=("chrono",)), r"init must be a name or \(.chrono., t_max\)"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, init=("chrono", 9.5)), "with an integer t_max"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, init=("chrono", 2)), "t_max of init=.* must be at least 3 steps, but is 2"),
        (lambda: LSTM(3, 4, init=("chrono", 9), bias=False), "needs bias=True, because it sets biases"),
        (lambda: LSTM(3, 4, init=("chrono", 9), forget_bias=1.0), "forget_bias=1.0 contradicts init="),
        (lambda: RNN(3, 4, init=("chrono", 9)), "gate that forgets, and RNN has none"),
        (lambda: IndRNN(3, 4, init=("chrono", 9)), "gate that forgets, and IndRNN has none"),
        (lambda: RNN(3, 4, init="identity"), "RNN and IndRNN with nonlinearity='relu', but this is RNN with"),
        (lambda: GRU(3, 4, init="identity"), "RNN and IndRNN with nonlinearity='relu', but this is GRU"),
        (lambda: MinGRU(3, 4, init="orthogonal"), "needs a recurrent matrix, and MinGRU has none"),
        (lambda: IndRNN(3, 4, init="orthogonal"), "needs a recurrent matrix, and IndRNN has none"),
        (lambda: IndRNN(3, 4, init="xavier"), "weight_hh of IndRNN is a vector"),
    ],
)
def test_refused_with_a_reason(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()
