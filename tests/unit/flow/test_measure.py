"""What `measure` takes, what it leaves alone, and what it refuses."""

import copy
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from throughtime import flow
from throughtime.nn import GRU, LSTM, RNN
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError, ShapeError


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(5)


def parameter(layer: torch.nn.Module, name: str) -> Tensor:
    return layer.get_parameter(name)


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("backend", ["auto", "torch", "native"])
def test_nothing_of_the_layer_changes(mode: Any, backend: Any) -> None:
    layer = LSTM(2, 3, num_layers=2, dropout=0.5, backend=backend)
    head = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
    before = copy.deepcopy(layer.state_dict())
    random = torch.get_rng_state()
    with mode():
        x = torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(0))
        kept = x.clone()
        measured = flow.measure(layer, x, loss=lambda output, state: head(output).sum())
    assert torch.equal(x, kept)
    assert layer.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, weight in layer.named_parameters():
        assert weight.grad is None
        assert weight.requires_grad
        assert torch.equal(weight, before[name])
    assert all(weight.grad is None for weight in head.parameters())
    assert len(measured.directions) == 2


def test_backends_and_forms_of_the_input_give_the_same_numbers() -> None:
    layer = GRU(2, 3)
    x = torch.randn(6, 3, 2)
    lengths = [6, 2, 4]
    one = flow.measure(layer, x, lengths=lengths).to_dict()
    assert flow.measure(layer, x.numpy(), lengths=torch.tensor(lengths)).to_dict() == one
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    assert flow.measure(layer, packed).to_dict() == one
    layer.backend = "torch"
    assert flow.measure(layer, x, lengths=lengths).to_dict() | {"model": ""} == one | {"model": ""}
    layer.batch_first = True
    assert flow.measure(layer, x.transpose(0, 1), lengths=lengths).to_dict() | {"model": ""} == one | {"model": ""}
    layer.batch_first = False
    single, alone = flow.measure(layer, x[:, 0]), flow.measure(layer, x[:, :1])
    assert single.to_dict() == alone.to_dict()
    h_0 = torch.randn(1, 3)
    assert flow.measure(layer, x[:, 0], h_0).to_dict() == flow.measure(layer, x[:, :1], h_0.unsqueeze(1)).to_dict()


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_loss_of_a_packed_sequence_gets_its_output_padded(batch_first: bool) -> None:
    layer = GRU(2, 3, batch_first=batch_first, dtype=torch.float64)
    sequences = [torch.randn(steps, 2, dtype=torch.float64) for steps in (2, 5, 4)]
    packed = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=batch_first)
    given: list[Tensor] = []

    def loss(output: Tensor, state: Any) -> Tensor:
        given.append(output.detach())
        return output.sum()

    flow.measure(layer, packed, loss=loss)
    row = tolerances.OUTPUT["float64"]
    torch.testing.assert_close(given[0], expected.detach(), rtol=row.rtol, atol=row.atol)


def test_what_stands_in_the_padding_is_never_looked_at() -> None:
    layer = LSTM(2, 3, bidirectional=True)
    x = torch.randn(6, 3, 2)
    one = flow.measure(layer, x, lengths=[6, 2, 4]).to_dict()
    x[2:, 1], x[4:, 2] = torch.nan, 1e30
    assert flow.measure(layer, x, lengths=[6, 2, 4]).to_dict() == one


def test_same_seed_same_numbers_other_seed_other_directions() -> None:
    layer, x = GRU(2, 3), torch.randn(6, 3, 2)
    numbers = [flow.measure(layer, x, seed=seed).directions[0].loss_to_h.mean for seed in (0, 0, 1)]
    assert (numbers[0] == numbers[1]).all()
    assert not np.allclose(numbers[0], numbers[2], rtol=tolerances.OTHER_LIBRARY.rtol)


def test_settings() -> None:
    layer, x = LSTM(2, 3), torch.randn(40, 5, 2)
    (direction,) = flow.measure(layer, x, sequences=2, exponents=3, samples=5, lags=[7, 3]).directions
    assert direction.lags.tolist() == [0, 3, 7, 40]
    assert direction.norm.count.tolist() == [2, 2, 2, 2]
    assert direction.loss_to_h.count.tolist() == [5] * 40
    assert len(direction.lyapunov.median) == 3
    assert direction.steps.tolist() == [0, 10, 20, 29, 39]
    assert (direction.lyapunov.mean[:-1] >= direction.lyapunov.mean[1:]).all()
    for wrong in ({"sequences": 0}, {"lags": [41]}, {"lags": [-1]}, {"exponents": 0}, {"samples": 0}, {"probes": 3}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            flow.measure(layer, x, **wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch": torch.zeros(4)}, ShapeError, "2 axes"),
        ({"batch": torch.zeros(4, 2, 3)}, ShapeError, "input_size 2"),
        ({"batch": torch.zeros(0, 2, 2)}, ShapeError, "at least one step"),
        ({"lengths": [5, 1]}, ShapeError, "1..seq_len"),
        ({"hx": torch.zeros(1, 2, 4)}, ShapeError, "h_0 must have shape"),
        ({"loss": torch.zeros(4, 2, 2)}, ShapeError, "the output's shape"),
        ({"loss": "last"}, OptionError, "loss must be a function of .* but is 'last'"),
        ({"loss": lambda output, state: output}, ShapeError, "one number"),
        ({"loss": lambda output, state: output.detach().sum()}, ShapeError, "without a graph"),
        ({"batch": torch.full((4, 2, 2), math.nan)}, OptionError, "the input is not finite"),
        ({"batch": torch.nn.utils.rnn.pack_sequence([torch.zeros(1, 2)]), "lengths": [1]}, OptionError, "PackedSeq"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        flow.measure(RNN(2, 3), **({"batch": torch.zeros(4, 2, 2)} | arguments))


def test_a_layer_that_is_not_finite_or_not_ours() -> None:
    layer = RNN(2, 3, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        parameter(layer, "weight_hh_l0").fill_(1e60)
    with pytest.raises(OptionError, match=r"state of layer 0 after \d steps is not finite"):
        flow.measure(layer, torch.ones(20, 1, 2))
    with torch.no_grad():
        parameter(layer, "weight_hh_l0").fill_(math.nan)
    with pytest.raises(OptionError, match="a weight of layer 0 is not finite"):
        flow.measure(layer, torch.ones(20, 1, 2))
    with pytest.raises(OptionError, match=r"LSTM cannot be measured: give a layer of throughtime\.nn"):
        flow.measure(torch.nn.LSTM(2, 3), torch.zeros(4, 1, 2))  # type: ignore[arg-type]


def test_a_model_measures_itself() -> None:
    class Model:
        def gradient_flow(self, texts: list[str], labels: list[str], **settings: Any) -> flow.GradientFlow:
            assert (texts, labels) == (["a"], ["b"])
            return flow.measure(RNN(2, 3), torch.zeros(4, 1, 2), **settings)

    assert flow.measure(Model(), (["a"], ["b"]), exponents=2).directions[0].lyapunov.mean.shape == (2,)
    with pytest.raises(OptionError, match="loss must be None for a Model"):
        flow.measure(Model(), (["a"], ["b"]), loss=lambda output, state: output.sum())


def test_json_and_text_say_everything() -> None:
    layer = LSTM(2, [3, 4], bidirectional=True)
    measured = flow.measure(layer, torch.randn(40, 3, 2), lengths=[40, 7, 11])
    read = json.loads(measured.to_json())
    assert read == measured.to_dict()
    assert (read["verdict"], len(read["directions"]), read["seq_len"]) == (measured.verdict, 4, 40)
    assert set(read["directions"][3]["gates"]) == {"i", "f", "g", "o"}
    assert read["directions"][3]["direction"] == "reverse"
    text = str(measured)
    for part in (
        "layer 1, reverse",
        "‖∂s_T/∂s_(T−k)‖",
        "‖∂L/∂c_(T−k)‖",
        "Lyapunov",
        "verdict: ",
        "advice: ",
        repr(layer),
    ):
        assert part in text
    tables = [line for block in text.split("\n\n")[:-2] for line in block.splitlines()]
    assert max(map(len, tables)) <= 110


def test_json_has_no_numbers_that_json_lacks() -> None:
    layer = RNN(2, 3, nonlinearity="relu")
    with torch.no_grad():
        parameter(layer, "bias_ih_l0").fill_(-1e3)  # dead: the exponents are -inf
    measured = flow.measure(layer, torch.randn(10, 3, 2))
    assert measured.directions[0].lyapunov.mean[0] == -math.inf
    assert json.loads(measured.to_json())["directions"][0]["lyapunov"]["mean"][0] == "-Infinity"
    assert measured.verdict == "vanishing"
    assert "100% at 0" in str(measured)
    assert all(measured.advice)


def test_long_chains_neither_overflow_nor_underflow_in_between() -> None:
    """ρ^k passes beyond float64's smallest number on the way; the exponent stays exact."""
    layer = RNN(2, 3, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        parameter(layer, "weight_hh_l0").copy_(0.1 * torch.eye(3, dtype=torch.float64))
    for exact in (True, False):
        (direction,) = flow.measure(layer, torch.randn(400, 1, 2), exact=exact, exponents=1).directions
        row = tolerances.GRADIENT["float64"]
        np.testing.assert_allclose(direction.lyapunov.median, math.log(0.1), rtol=row.rtol)
        assert direction.norm.median[-1] == 0.0
        assert direction.memory["1 %"] == pytest.approx(2.0)


def test_a_tensor_loss_needs_no_graph() -> None:
    layer = RNN(2, 3)
    output, _ = layer(torch.randn(4, 2, 2))
    kept: Tensor = output.detach().requires_grad_()
    (upstream,) = torch.autograd.grad(kept.square().sum(), kept)
    assert flow.measure(layer, torch.randn(4, 2, 2), loss=upstream).loss == "as given"
