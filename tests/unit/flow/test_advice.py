"""Advice: each line follows from the numbers, and can be followed by whoever made the model."""

import ast
import inspect
import math
import re
from typing import Any, Final, get_args

import pytest
import torch

import throughtime.nn
from throughtime import flow
from throughtime.flow.advice import Facts, Remedies, advise
from throughtime.flow.gates import GateActivity
from throughtime.flow.remedies import layer_remedies
from throughtime.flow.verdict import Verdict
from throughtime.nn import GRU, LSTM, RNN, IndRNN, MinGRU, MinLSTM
from throughtime.spec.model import Pooling
from throughtime.text.config import TrainConfig, with_changes
from throughtime.text.recipe import load_recipe
from throughtime.text.training.flow import recipe_remedies

SOME: Final = Remedies(
    clip="CLIP",
    settle="SETTLE",
    revive="REVIVE",
    gated="GATED",
    truncate="TRUNCATE TO {steps}",
    shrink="SHRINK",
    normalise="NORMALISE",
    start="START",
    tanh="TANH",
    open="OPEN WITH {bias:.1f}",
    chrono="CHRONO OF {steps}",
)
NONE: Final = Remedies(clip="CLIP", settle="SETTLE", revive="REVIVE", gated="GATED")


def gate(name: str, mean: float = 0.5, reach: Any = "0..1", low: float = 0.1, high: float = 0.1) -> GateActivity:
    return GateActivity(name, reach, low, high, mean)


OPEN: Final = gate("h", 0.0, "-1..1")


def facts(**values: Any) -> Facts:
    base: dict[str, Any] = {"verdict": "vanishing", "longest": 200, "growth": 1.0, "growth_lag": 0, "radius": 0.5}
    return Facts(**(base | {"exponent": -0.7, "gates": (OPEN,)} | values))


def test_it_follows_from_the_numbers() -> None:
    gated, start, tanh = advise(facts(), SOME)
    assert "GATED" in gated
    assert start.startswith("START: ")
    assert "7 steps" in start  # ln 0.01 / ln 0.5 = 6.6
    assert "TANH" in tanh
    (forget,) = advise(facts(gates=(gate("f", 0.75),)), SOME)
    # σ(b)^200 = 0.01 at b = 3.76
    assert "OPEN WITH 3.8 (a unit then keeps 1%) or CHRONO OF 200" in forget
    assert "0.75" in forget
    (update,) = advise(facts(gates=(gate("r"), gate("z", 0.2), OPEN)), SOME)
    assert "0.20 of the state" in update
    (update,) = advise(facts(gates=(gate("z", 0.2), OPEN)), SOME)
    assert "0.80 of the state" in update
    saturated = advise(facts(verdict="saturated", gates=(gate("h", 0.0, "-1..1", 0.3, 0.3),)), SOME)
    assert "h 60%" in saturated[0]
    assert saturated[1:] == (gated, start, tanh)
    clip, truncate, shrink, normalise = advise(
        facts(verdict="exploding", growth=5e3, growth_lag=90, radius=1.4, exponent=0.1), SOME
    )
    assert clip.startswith("CLIP: ")
    assert "5e+03-fold over 90 steps" in clip
    assert "TRUNCATE TO 46" in truncate  # ln 100 / 0.1
    assert "1.4" in shrink
    assert normalise.startswith("NORMALISE")
    assert len(advise(facts(verdict="exploding", radius=0.9, exponent=-0.1), SOME)) == 2
    assert len(advise(facts(verdict="exploding", radius=1.4, exponent=0.1), NONE)) == 1
    (nothing,) = advise(facts(verdict="healthy"), SOME)
    assert nothing.startswith("nothing")


def test_dead_units_are_named_as_the_cause() -> None:
    dead = facts(gates=(gate("h", 0.0, "0..", 0.8, 0.0),))
    cause, gated = advise(dead, NONE)
    assert "80% of the activations of h are 0" in cause
    assert "REVIVE" in cause
    assert advise(facts(gates=(gate("h", 0.0, "0..", 0.5, 0.0),)), NONE) == (gated,)


def test_chrono_takes_at_least_three_steps_and_what_began_long_enough_is_not_told_again() -> None:
    (line,) = advise(facts(longest=2, gates=(gate("f", 0.01),)), SOME)
    assert "CHRONO OF 3" in line
    started = Remedies(**(vars(SOME) | {"forget_bias": 4.0, "t_max": 200}))
    (line,) = advise(facts(gates=(gate("f", 0.7),)), started)
    assert "OPEN" not in line
    assert "CHRONO" not in line
    assert "learning rate" in line


LAYERS: Final[list[tuple[Any, dict[str, Any]]]] = [
    (RNN, {}),
    (RNN, {"layer_norm": True, "init": "orthogonal", "bidirectional": True}),
    (RNN, {"nonlinearity": "relu"}),
    (RNN, {"nonlinearity": "relu", "init": "identity"}),
    (RNN, {"nonlinearity": "sigmoid"}),
    (GRU, {}),
    (GRU, {"init": ("chrono", 50), "layer_norm": True}),
    (GRU, {"bias": False}),
    (LSTM, {}),
    (LSTM, {"forget_bias": 1.0}),
    (LSTM, {"forget_bias": 9.0, "coupled_gates": True}),
    (LSTM, {"init": ("chrono", 50)}),
    (LSTM, {"init": ("chrono", 500)}),
    (LSTM, {"bias": False, "bidirectional": True}),
    (MinGRU, {}),
    (MinGRU, {"bias": False}),
    (MinLSTM, {}),
    (MinLSTM, {"init": ("chrono", 50)}),
    (IndRNN, {}),
    (IndRNN, {"nonlinearity": "relu"}),
    (IndRNN, {"nonlinearity": "relu", "init": "identity"}),
    (IndRNN, {"nonlinearity": "sigmoid", "bidirectional": True}),
]


def measured_gates(layer: Any) -> tuple[GateActivity, ...]:
    return flow.measure(layer, torch.zeros(2, 1, 2)).directions[0].gates


@pytest.mark.parametrize("verdict", [name for name in get_args(Verdict) if name != "healthy"])
@pytest.mark.parametrize(("kind", "given"), LAYERS, ids=[f"{kind.__name__}, {given}" for kind, given in LAYERS])
def test_a_layer_takes_all_that_it_is_advised_and_has_none_of_it_yet(kind: Any, given: Any, verdict: Any) -> None:
    layer = kind(2, 4, **given)
    defaults = {name: value.default for name, value in inspect.signature(kind).parameters.items()}
    for longest in (2, 200):
        some = facts(
            verdict=verdict, longest=longest, gates=measured_gates(layer), radius=1.2 if verdict == "exploding" else 0.5
        )
        lines = advise(Facts(**(vars(some) | {"exponent": 0.1})), layer_remedies(layer))
        assert lines
        for way in (way for line in lines for way in re.split(r" or |: ", line)):
            found = re.findall(r"(\w+)=('\w+'|\(.*?\)|True|[-\d.]+\d)", way)
            told = {name: ast.literal_eval(value) for name, value in found}
            for name, value in told.items():
                assert value != (defaults | given)[name], way
            kept = {name: value for name, value in given.items() if f"in place of {name}" not in way}
            kind(2, 4, **(kept | told))
        joined = " ".join(lines)
        assert ("throughtime.nn.truncated" in joined) <= (verdict == "exploding" and not layer.bidirectional)
        assert ("weight_hh" in joined) <= (kind in (RNN, GRU, LSTM, IndRNN))


def test_what_some_layers_are_told() -> None:
    (line,) = advise(facts(gates=measured_gates(LSTM(2, 4))), layer_remedies(LSTM(2, 4)))
    assert "start with forget_bias=3.8" in line
    assert "start with init=('chrono', 200)" in line
    (line,) = advise(facts(gates=measured_gates(GRU(2, 4))), layer_remedies(GRU(2, 4)))
    assert line.endswith("start with init=('chrono', 200)")
    layer = LSTM(2, 4, forget_bias=1.0)
    (line,) = advise(facts(gates=measured_gates(layer)), layer_remedies(layer))
    assert line.endswith("start with init=('chrono', 200) in place of forget_bias")
    exploding = facts(verdict="exploding", radius=1.2, exponent=0.1)
    assert "clip_grad_norm_" in advise(exploding, layer_remedies(MinGRU(2, 4)))[0]
    started = RNN(2, 4, nonlinearity="relu", init="identity")
    assert not any("orthogonal" in line for line in advise(exploding, layer_remedies(started)))
    assert not any("layer_norm" in line for line in advise(exploding, layer_remedies(RNN(2, 4, layer_norm=True))))


@pytest.mark.parametrize("verdict", [name for name in get_args(Verdict) if name != "healthy"])
@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize(
    ("cell", "nonlinearity"),
    [("GRU", "tanh"), ("LSTM", "tanh"), *(("RNN", name) for name in ("tanh", "relu", "sigmoid"))],
)
def test_a_recipe_takes_all_that_a_text_model_is_advised(
    cell: Any, nonlinearity: Any, pooling: Any, verdict: Any
) -> None:
    changes = [f"encoder.cell={cell}", f"encoder.nonlinearity={nonlinearity}", f"head.pooling={pooling}"]
    config = with_changes(load_recipe("default"), changes)
    options = config.encoder_config(100).layer_options
    kind, own = getattr(throughtime.nn, cell), {"nonlinearity": nonlinearity} if cell == "RNN" else {}
    gates = measured_gates(kind(2, 4, **own))
    some = facts(verdict=verdict, longest=50, radius=1.2 if verdict == "exploding" else 0.5, exponent=0.5, gates=gates)
    lines = advise(some, recipe_remedies(options, pooling))
    named = re.findall(r"\b(?:encoder|head|optimiser|regularisation)\.\w+(?:=[\w.+]*\w)?", " ".join(lines))
    assert named
    keys = {
        f"{section}.{key}"
        for section, field in TrainConfig.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    }
    assert {name.partition("=")[0] for name in named} <= keys
    for line in lines:
        told = re.findall(r"\b\w+\.\w+=[\w.+]*\w", line)
        changed = with_changes(config, told)
        assert not told or changed != config
    assert not re.search("init=|layer_norm|nn\\.|weight_hh orth", " ".join(lines))
    assert ("head.pooling=max+mean" in " ".join(lines)) == (pooling == "last" and verdict != "exploding")


def test_a_needed_bias_is_finite_at_every_length() -> None:
    for longest in (1, 2, 10, 10_000):
        (line,) = advise(facts(longest=longest, gates=(gate("f", 0.3),)), SOME)
        found = re.search(r"OPEN WITH ([-\d.]+)", line)
        assert found is not None
        kept = 1 / (1 + math.exp(-float(found[1])))
        assert kept**longest >= 0.01 * (1 - 1e-9)
