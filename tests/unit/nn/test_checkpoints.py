"""Checkpoints of variants: their own come back whole, plain ones of torch load where they fit, damaged ones do not."""

import copy
import pickle
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.nn import LSTM
from throughtime.spec import tolerances

# What torch says where oneDNN has no kernel.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"layer_norm": True, "zoneout": 0.2}),
    ("GRU", {"layer_norm": True, "recurrent_dropout": 0.2}),
    ("LSTM", {"layer_norm": True, "peephole": True, "coupled_gates": True, "proj_size": 2, "zoneout": (0.1, 0.2)}),
    ("MinGRU", {}),
    ("MinLSTM", {"bias": False}),
    ("IndRNN", {}),
]
X = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0))


def _values(nested: Any) -> list[Tensor]:
    return [nested] if isinstance(nested, Tensor) else [leaf for part in nested for leaf in _values(part)]


def _layer(cell: str, **options: Any) -> Any:
    return getattr(throughtime.nn, cell)(4, [5, 6], bidirectional=True, **options).eval()


@pytest.mark.parametrize(("cell", "options"), VARIANTS)
def test_round_trip(cell: str, options: dict[str, Any]) -> None:
    layer, other = _layer(cell, **options), _layer(cell, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter))
    expected = _values(layer(X))
    other.load_state_dict(layer.state_dict())
    for twin in (other, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(twin) == repr(layer)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(_values(twin(X)), expected, strict=True))


COMPATIBLE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("RNN", {}, {"layer_norm": True}),
    ("GRU", {}, {"layer_norm": True, "zoneout": 0.1}),
    ("GRU", {}, {"reset_after": False, "layer_norm": True}),
    ("GRU", {"bias": False}, {"layer_norm": True}),
    ("LSTM", {}, {"layer_norm": True, "peephole": True}),
    ("LSTM", {"bias": False}, {"layer_norm": True}),
    ("LSTM", {"proj_size": 2}, {"layer_norm": True, "peephole": True, "weight_dropout": 0.2}),
]


@pytest.mark.parametrize(("cell", "shape", "variant"), COMPATIBLE)
@pytest.mark.parametrize("inside", [False, True])
def test_a_plain_layer_of_torch_loads_and_what_is_added_is_neutral(
    cell: str, shape: dict[str, Any], variant: dict[str, Any], inside: bool
) -> None:
    theirs = getattr(torch.nn, cell)(4, 5, 2, bidirectional=True, **shape)
    ours = getattr(throughtime.nn, cell)(4, 5, 2, bidirectional=True, **shape, **variant)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.fill_(7.0)
    given = theirs.state_dict()
    if inside:
        model = torch.nn.Sequential(OrderedDict(encoder=ours))
        model.load_state_dict({f"encoder.{name}": value for name, value in given.items()})
    else:
        before = list(given)
        ours.load_state_dict(given)
        assert list(given) == before
    for name, parameter in ours.named_parameters():
        kind = name.split("_l")[0]
        neutral = {"weight_peephole": 0.0, "norm_ih": 1.0, "norm_hh": 1.0, "norm_c": 1.0, "bias_c": 0.0}
        expected = given[name] if name in given else torch.full_like(parameter, neutral[kind])
        assert torch.equal(parameter, expected), name


@pytest.mark.parametrize("variant", [{"peephole": True}, {"recurrent_dropout": 0.2}, {"weight_dropout": 0.2}])
def test_with_neutral_values_a_variant_computes_what_torch_does(variant: dict[str, Any]) -> None:
    theirs = torch.nn.LSTM(4, 5, 2)
    ours = throughtime.nn.LSTM(4, 5, 2, **variant)
    ours.load_state_dict(theirs.state_dict())
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(ours.eval()(X), theirs(X), rtol=row.rtol, atol=row.atol)


def test_half_a_variants_checkpoint_is_refused() -> None:
    layer = throughtime.nn.LSTM(4, 5, layer_norm=True, peephole=True)
    state = layer.state_dict()
    del state["norm_hh_l0"]
    with pytest.raises(RuntimeError, match=r'Missing key.*"norm_hh_l0"'):
        layer.load_state_dict(state)


def test_an_empty_checkpoint_is_refused_whole() -> None:
    layer = throughtime.nn.LSTM(4, 5, layer_norm=True)
    with pytest.raises(RuntimeError, match='"norm_hh_l0"'):
        layer.load_state_dict({})


def test_what_does_not_fit_is_refused() -> None:
    state = torch.nn.LSTM(4, 5).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        throughtime.nn.LSTM(4, 5, coupled_gates=True).load_state_dict(state)
    with pytest.raises(RuntimeError, match="weight_hr_l0"):
        throughtime.nn.LSTM(4, 5, proj_size=2).load_state_dict(state)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        throughtime.nn.LSTM(4, 5).load_state_dict(throughtime.nn.LSTM(4, 5, peephole=True).state_dict())


def test_a_plain_checkpoint_takes_the_place_of_parameters_without_values() -> None:
    with torch.device("meta"):
        layer = LSTM(4, 5, layer_norm=True)
    layer.load_state_dict(torch.nn.LSTM(4, 5).state_dict(), assign=True)
    assert {p.device.type for p in layer.parameters()} == {"cpu"}
    assert layer(torch.randn(7, 3, 4))[0].isfinite().all()
