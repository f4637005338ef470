"""Changing the import is the whole migration: constructor, attributes, parameters, checkpoints, module protocol."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import PackedSequence, pack_sequence

import throughtime
import throughtime.nn
from throughtime.nn import LSTM
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError

CELLS = ["RNN", "GRU", "LSTM"]


def _ours(cell: str, *args: Any, **options: Any) -> Any:
    torch.manual_seed(1)
    return getattr(throughtime.nn, cell)(*args, **options)


def _theirs(cell: str, *args: Any, **options: Any) -> Any:
    torch.manual_seed(1)
    return getattr(torch.nn, cell)(*args, **options)


def _assert_close(got: Any, expected: Any) -> None:
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(got, expected, rtol=row.rtol, atol=row.atol)


def test_the_package_offers_the_layers() -> None:
    assert throughtime.LSTM is throughtime.nn.LSTM


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_same_seed_same_parameters_in_the_same_order(cell: str, bias: bool, bidirectional: bool) -> None:
    options = {"num_layers": 3, "bias": bias, "bidirectional": bidirectional}
    ours, theirs = _ours(cell, 4, 5, **options), _theirs(cell, 4, 5, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for got, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(got, expected)
    for got, expected in zip(ours.all_weights, theirs.all_weights, strict=True):
        assert [weight.shape for weight in got] == [weight.shape for weight in expected]


@pytest.mark.parametrize(
    ("cell", "args"),
    [
        ("RNN", (4, 5, 2, "relu", False, True, 0.5, True)),
        ("GRU", (4, 5, 2, False, True, 0.5, True)),
        ("LSTM", (4, 5, 2, False, True, 0.5, True, 0, "cpu", torch.float64)),
        ("LSTM", (4, 5)),
    ],
)
def test_positional_arguments_and_attributes(cell: str, args: tuple[Any, ...]) -> None:
    ours, theirs = _ours(cell, *args), _theirs(cell, *args)
    names = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional", "mode"]
    for name in [*names, *(["nonlinearity"] if cell == "RNN" else []), *(["proj_size"] if cell == "LSTM" else [])]:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.weight_ih_l0.dtype == theirs.weight_ih_l0.dtype
    if cell != "RNN":
        assert repr(ours) == repr(theirs)
    ours.flatten_parameters()


def test_device_and_dtype() -> None:
    layer = throughtime.nn.GRU(4, 5, device="meta", dtype=torch.bfloat16)
    assert (layer.weight_hh_l0.device.type, layer.weight_hh_l0.dtype) == ("meta", torch.bfloat16)
    x = torch.zeros(3, 1, 4, dtype=torch.float64)
    assert throughtime.nn.GRU(4, 5).to(torch.float64)(x)[0].dtype == torch.float64


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_shapes_on_the_meta_device(cell: str, recompute: bool) -> None:
    layer = getattr(throughtime.nn, cell)(4, 5, recompute=recompute, device="meta")
    x = torch.zeros(9, 2, 4, device="meta", requires_grad=True)
    h_0 = torch.zeros(1, 2, 5, device="meta")
    y, _ = layer(x, (h_0, h_0) if cell == "LSTM" else h_0)
    y.sum().backward()
    assert (y.is_meta, y.shape) == (True, (9, 2, 5))
    assert x.grad is not None
    assert x.grad.shape == x.shape
    with pytest.raises(OptionError, match="must have the layer's dtype"):
        layer(x.double())


@pytest.mark.parametrize("cell", CELLS)
def test_checkpoints_load_both_ways(cell: str) -> None:
    x = torch.randn(3, 2, 4)
    theirs = getattr(torch.nn, cell)(4, 5, 2, bidirectional=True)
    ours = getattr(throughtime.nn, cell)(4, 5, 2, bidirectional=True, backend="torch")
    buffer = io.BytesIO()
    torch.save(theirs.state_dict(), buffer)
    buffer.seek(0)
    ours.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(ours(x)[0], theirs(x)[0])
    ours.reset_parameters()
    assert not torch.equal(ours(x)[0], theirs(x)[0])
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_pickle_and_deepcopy_are_independent_copies(cell: str) -> None:
    layer = _ours(cell, 4, 5, 2, bidirectional=True)
    x = torch.randn(3, 2, 4)
    expected = layer(x)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x)[0], expected)
        twin.weight_hh_l1.data.zero_()
        assert not torch.equal(twin(x)[0], expected)
    assert torch.equal(layer(x)[0], expected)


def test_hooks_replaced_parametrised_and_functional_weights() -> None:
    layer = _ours("LSTM", 4, 5)
    x = torch.randn(3, 2, 4)
    seen: list[int] = []
    layer.register_forward_pre_hook(lambda module, args: seen.append(len(args)))
    layer.register_forward_hook(lambda module, args, result: seen.append(len(result)))
    before = layer(x)[0]
    assert seen == [1, 2]
    swapped = {name: torch.zeros_like(p) for name, p in layer.named_parameters()}
    assert not torch.func.functional_call(layer, swapped, (x,))[0].any()
    assert torch.equal(layer(x)[0], before)
    parametrizations.weight_norm(layer, "weight_hh_l0")
    _assert_close(layer(x)[0], before)
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.zero_()
    assert not torch.allclose(layer(x)[0], before)
    layer.weight_ih_l0 = torch.nn.Parameter(torch.zeros_like(layer.weight_ih_l0))
    layer(x)[0].sum().backward()
    assert layer.weight_ih_l0.grad is not None


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lengths", [[2, 5, 3], [3, 3, 3], [40, 1, 1]])
@pytest.mark.parametrize("gradients", [True, False])
def test_packed_sequence_in_and_out(cell: str, lengths: list[int], gradients: bool) -> None:
    ours, theirs = (_ours(cell, 4, 5, 2, bidirectional=True), _theirs(cell, 4, 5, 2, bidirectional=True))
    packed = pack_sequence([torch.randn(length, 4) for length in lengths], enforce_sorted=False)
    h_0, c_0 = torch.randn(2, 4, 3, 5).unbind(0)
    hx = (h_0, c_0) if cell == "LSTM" else h_0
    with torch.set_grad_enabled(gradients):
        output, state = ours(packed, hx)
        expected, expected_state = theirs(packed, hx)
    assert isinstance(output, PackedSequence)
    for got, wanted in zip(output, expected, strict=True):
        _assert_close(got, wanted)
    for got, wanted in zip(state, expected_state, strict=True):
        _assert_close(got, wanted)


def test_empty_batch() -> None:
    for cell in CELLS:
        for options in ({}, {"hidden_size": [5, 6]}):
            layer = _ours(cell, **{"input_size": 4, "hidden_size": 5, **options})
            assert layer(torch.zeros(3, 0, 4), lengths=[])[0].shape == (3, 0, layer.options.output_size)


def test_another_default_device_is_not_where_layers_on_the_cpu_compute() -> None:
    layer, x = LSTM(4, 5), torch.randn(7, 3, 4)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([7, 5, 3]))
    with torch.device("meta"):
        output = layer(x)[0]
        ragged = layer(x, lengths=[7, 5, 3])[0]
        assert layer.stream(3).step(x[0]).device.type == "cpu"
        assert layer(packed)[0].data.device.type == "cpu"
    assert torch.equal(output, layer(x)[0])
    assert torch.equal(ragged, layer(x, lengths=[7, 5, 3])[0])


def test_a_call_in_inference_mode_leaves_the_layer_trainable() -> None:
    layer, x = LSTM(4, 5), torch.randn(7, 3, 4)
    with torch.inference_mode(), torch.enable_grad():
        layer(x)
    layer(x)[0].sum().backward()


def test_parameters_are_swapped_where_torch_is_asked_to() -> None:
    layer, x = LSTM(4, 5), torch.randn(7, 3, 4)
    layer(x)
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        layer.double()
        layer(x.double())
        layer.load_state_dict(LSTM(4, 5, dtype=torch.float64).state_dict())
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert layer(x.double())[0].dtype == torch.float64
