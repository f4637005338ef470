"""What the layers have beyond torch's, and what they refuse."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import throughtime
from throughtime.nn import GRU, LSTM, RNN, IndRNN, MinGRU, MinLSTM, fused
from throughtime.spec.errors import OptionError, ShapeError


def test_sizes_that_differ_give_lists_of_states() -> None:
    layer = LSTM(3, [4, 6], bidirectional=True)
    assert (layer.hidden_size, layer.num_layers) == ((4, 6), 2)
    assert layer.weight_ih_l1.shape == (24, 8)
    output, (h_n, c_n) = layer(torch.randn(5, 2, 3))
    assert output.shape == (5, 2, 12)
    assert [tuple(part.shape) for part in h_n] == [tuple(part.shape) for part in c_n] == [(2, 2, 4), (2, 2, 6)]
    again, _ = layer(torch.randn(5, 2, 3), (h_n, c_n))
    assert again.shape == output.shape
    _, (h_n, _) = layer(torch.randn(5, 3))
    assert [tuple(part.shape) for part in h_n] == [(2, 4), (2, 6)]
    assert repr(layer) == "LSTM(3, [4, 6], bidirectional=True)"


def test_initial_values_are_bounded_by_each_layers_own_size() -> None:
    parameters = dict(RNN(3, [4, 100]).named_parameters())
    assert 0.1 < parameters["weight_hh_l0"].abs().max() <= 0.5
    assert parameters["weight_hh_l1"].abs().max() <= 0.1


def test_equal_sizes_in_a_list_are_torchs_form() -> None:
    layer = GRU(3, [4, 4])
    assert layer.hidden_size == 4
    assert layer(torch.randn(5, 2, 3))[1].shape == (2, 2, 4)
    assert repr(layer) == "GRU(3, 4, num_layers=2)"


def test_sizes_may_be_integers_of_numpy() -> None:
    assert RNN(np.int64(3), np.int32(4), np.int64(2)).hidden_size == 4  # type: ignore[arg-type]


def test_the_package_offers_what_torch_has_none_of() -> None:
    assert (throughtime.MinGRU, throughtime.MinLSTM, throughtime.IndRNN) == (MinGRU, MinLSTM, IndRNN)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
def test_projection_gives_states_of_two_sizes() -> None:
    layer = LSTM(3, 6, 2, proj_size=2, bidirectional=True)
    assert layer.proj_size == 2
    output, (h_n, c_n) = layer(torch.randn(5, 7, 3))
    assert (output.shape, h_n.shape, c_n.shape) == ((5, 7, 4), (4, 7, 2), (4, 7, 6))
    _, (h_n, c_n) = layer(torch.randn(5, 3))
    assert (h_n.shape, c_n.shape) == ((4, 2), (4, 6))
    with pytest.raises(ShapeError, match=r"h_0 must have shape \(num_layers \* num_directions, proj_size\), but"):
        layer(torch.randn(5, 3), (c_n, c_n))
    layer = LSTM(3, [6, 4], proj_size=2)
    _, (h_n, c_n) = layer(torch.randn(5, 7, 3))
    assert [tuple(part.shape) for part in (*h_n, *c_n)] == [(1, 7, 2), (1, 7, 2), (1, 7, 6), (1, 7, 4)]
    with pytest.raises(ShapeError, match=r"h_0\[1\] must have shape \(num_directions, batch, proj_size\), but"):
        layer(torch.randn(5, 7, 3), ([h_n[0], c_n[1]], c_n))


def test_repr_of_variants_is_the_call_that_makes_them() -> None:
    layers = [
        RNN(3, 4, layer_norm=True, zoneout=0.1, init="orthogonal"),
        GRU(3, [4, 5], recurrent_dropout=0.2, weight_dropout=0.3, recompute=True, init=("chrono", 9)),
        LSTM(3, 4, 2, peephole=True, coupled_gates=True, zoneout=(0.1, 0.2), recompute=16, backend="torch"),
        LSTM(3, 4, 2, bias=False, proj_size=2, zoneout=0.1),
        LSTM(3, 4, forget_bias=1.0),
        IndRNN(3, 4, nonlinearity="tanh"),
        IndRNN(3, 4, init="identity"),
        MinGRU(3, 4, zoneout=0.1, bidirectional=True),
        MinLSTM(3, 4, batch_first=True),
    ]
    texts = [repr(layer) for layer in layers]
    assert texts[2] == (
        "LSTM(3, 4, num_layers=2, peephole=True, coupled_gates=True, zoneout=(0.1, 0.2), recompute=16, backend='torch')"
    )
    assert texts[4] == "LSTM(3, 4, forget_bias=1.0)"
    for layer, text in zip(layers, texts, strict=True):
        again = eval(text)
        assert repr(again) == text
        assert getattr(again, "forget_bias", None) == getattr(layer, "forget_bias", None)
        assert (again.options, again.init, again.recompute) == (layer.options, layer.init, layer.recompute)


@pytest.mark.parametrize("options", [{}, {"zoneout": 0.2}])
@pytest.mark.parametrize("cell", [MinGRU, MinLSTM, IndRNN])
def test_cells_that_torch_lacks_are_modules_like_the_others(cell: Any, options: Any) -> None:
    layer = cell(3, [4, 5], bidirectional=True, **options)
    assert layer.mode == cell.__name__
    assert not any(name.startswith("bias_hh") for name in layer.state_dict())
    layer.eval()
    x = torch.randn(5, 7, 3)
    output, h_n = layer(x, lengths=[5, 1, 2, 3, 4, 5, 5])
    assert output.shape == (5, 7, 10)
    assert [tuple(part.shape) for part in h_n] == [(2, 7, 4), (2, 7, 5)]
    first = cell(3, [4, 5], bidirectional=True, batch_first=True, **options).eval()
    first.load_state_dict(layer.state_dict())
    assert torch.equal(first(x.transpose(0, 1), lengths=[5, 1, 2, 3, 4, 5, 5])[0].transpose(0, 1), output)


def test_repr_names_what_torch_lacks() -> None:
    assert repr(RNN(3, 4, nonlinearity="identity", bias=False)) == "RNN(3, 4, nonlinearity='identity', bias=False)"
    assert repr(GRU(3, 4, reset_after=False)) == "GRU(3, 4, reset_after=False)"


@pytest.mark.parametrize("bidirectional", [False, True])
def test_forget_bias_is_the_sum_of_both_biases(bidirectional: bool) -> None:
    torch.manual_seed(1)
    layer = LSTM(3, [4, 5], bidirectional=bidirectional, forget_bias=1.5)
    torch.manual_seed(1)
    plain = LSTM(3, [4, 5], bidirectional=bidirectional)
    for name, parameter in layer.named_parameters():
        expected = dict(plain.named_parameters())[name].detach().clone()
        if name.startswith("bias"):
            size = len(expected) // 4
            expected[size : 2 * size] = 1.5 if name.startswith("bias_ih") else 0.0
        assert torch.equal(parameter, expected), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RNN(3, 4, backend="cuda"), "backend must be one of auto, native, torch, but is 'cuda'"),  # type: ignore[arg-type]
        (lambda: RNN(3, 4, nonlinearity="softmax"), "nonlinearity must be one of"),  # type: ignore[arg-type]
        (lambda: RNN(0, 4), "input_size must be at least 1, but is 0"),
        (lambda: RNN(3, []), "hidden_size must hold one size"),
        (lambda: RNN(3, [4, 0]), "hidden_size must hold one size"),
        (lambda: RNN(3, 4.0), "hidden_size must be an integer, but is 4.0"),  # type: ignore[arg-type]
        (lambda: RNN(3, [4, 5.0]), r"hidden_size\[1\] must be an integer"),  # type: ignore[list-item]
        (lambda: RNN(3, 4, 0), "num_layers must be at least 1, but is 0"),
        (lambda: RNN(3, [4, 5], 3), r"num_layers must match len\(hidden_size\), but 3 != 2"),
        (lambda: GRU(3, 4, 1, 0.5), "bias must be True or False, but is 0.5"),  # type: ignore[arg-type]
        (lambda: GRU(3, 4, batch_first=1), "batch_first must be True or False"),  # type: ignore[arg-type]
        (lambda: GRU(3, 4, bidirectional=2), "bidirectional must be True or False"),  # type: ignore[arg-type]
        (lambda: GRU(3, 4, reset_after=None), "reset_after must be True or False"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, layer_norm=1), "layer_norm must be True or False, but is 1"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, peephole="all"), "peephole must be True or False"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, coupled_gates=0.5), "coupled_gates must be True or False"),  # type: ignore[arg-type]
        (lambda: LSTM(3, 4, proj_size=4), "proj_size must be 0 or smaller than every hidden_size, but is 4"),
        (lambda: LSTM(3, [9, 4], proj_size=5), "proj_size must be 0 or smaller than every hidden_size, but is 5"),
        (lambda: LSTM(3, 4, proj_size=-1), "proj_size must be 0 or smaller"),
        (lambda: LSTM(3, 4, proj_size=2.0), "proj_size must be an integer, but is 2.0"),  # type: ignore[arg-type]
        (lambda: RNN(3, 4, zoneout=1.0), "zoneout must be a number in 0 <= p < 1, but is 1.0"),
        (lambda: RNN(3, 4, zoneout=True), "zoneout must be a number in 0 <= p < 1, but is True"),
        (lambda: LSTM(3, 4, zoneout=(0.1, -0.1)), "zoneout of c must be a number in 0 <= p < 1, but is -0.1"),
        (lambda: LSTM(3, 4, zoneout=(0.1,)), "zoneout must be a number or the pair"),  # type: ignore[arg-type]
        (lambda: GRU(3, 4, zoneout=(0.1, 0.2)), "zoneout of c=0.2 is an option of LSTM; GRU does not have it"),
        (lambda: MinGRU(3, 4, zoneout=2.0), "zoneout must be a number in 0 <= p < 1, but is 2.0"),
        (lambda: GRU(3, 4, recurrent_dropout=1.0), "recurrent_dropout must be a number in 0 <= p < 1, but is 1.0"),
        (lambda: GRU(3, 4, weight_dropout=float("nan")), "weight_dropout must be a number in 0 <= p < 1, but is nan"),
        (lambda: GRU(3, 4, recompute=0), "recompute must be True, False or at least 1 step, but is 0"),
        (lambda: GRU(3, 4, recompute=1.5), "recompute must be an integer, but is 1.5"),  # type: ignore[arg-type]
        (lambda: GRU(3, 4, 2, dropout=1.5), "dropout must be a number in 0..1, but is 1.5"),
        (lambda: GRU(3, 4, 2, dropout=True), "dropout must be a number in 0..1, but is True"),
        (lambda: GRU(3, 4, 2, dropout=float("nan")), "dropout must be a number in 0..1, but is nan"),
        (lambda: LSTM(3, 4, bias=False, forget_bias=1.0), "forget_bias needs bias=True"),
        (lambda: LSTM(3, 4, forget_bias=float("inf")), "forget_bias must be a finite number, but is inf"),
    ],
)
def test_refused_with_a_reason_on_one_line(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layer", "keyword"), [(RNN, "reset_after"), (GRU, "peephole"), (LSTM, "hiden_size"), (IndRNN, "layer_norm")]
)
def test_unknown_keywords_are_pythons_error(layer: Any, keyword: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}'"):
        layer(3, 4, **{keyword: True})


def test_dropout_on_one_layer_warns_as_torch_does() -> None:
    with pytest.warns(UserWarning, match="does nothing with num_layers=1") as records:
        LSTM(3, 4, dropout=0.5)
    assert records[0].filename == __file__


def test_positional_order_is_torchs() -> None:
    def order(layer: Any) -> list[str]:
        kinds = inspect.signature(layer).parameters.values()
        return [p.name for p in kinds if p.kind is p.POSITIONAL_OR_KEYWORD]

    common = ["bias", "batch_first", "dropout", "bidirectional"]
    assert order(RNN) == ["input_size", "hidden_size", "num_layers", "nonlinearity", *common, "device", "dtype"]
    assert order(GRU) == ["input_size", "hidden_size", "num_layers", *common, "device", "dtype"]
    assert order(LSTM) == ["input_size", "hidden_size", "num_layers", *common, "proj_size", "device", "dtype"]


@pytest.mark.parametrize("hidden_size", [[4, 4], [4, 5]])
@pytest.mark.parametrize("options", [{}, {"reset_after": False}])
@pytest.mark.parametrize("lengths", [None, [3, 5]])
@pytest.mark.parametrize("packs", [True, False])
def test_dropout_acts_between_layers_only_and_in_training_only(
    hidden_size: list[int], options: Any, lengths: Any, packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "prefers_packing", lambda ragged: packs)
    layer = GRU(3, hidden_size, dropout=1.0, **options)
    one, other = torch.randn(2, 5, 2, 3).unbind(0)
    output, h_n = layer(one, lengths=lengths)
    assert output[0].any()
    assert torch.equal(output, layer(other, lengths=lengths)[0])
    layer.eval()
    dependent, whole = layer(one, lengths=lengths)
    assert not torch.equal(output, dependent)
    assert torch.equal(h_n[0], whole[0])
