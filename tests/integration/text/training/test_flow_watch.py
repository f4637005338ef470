"""The look at the flow through time at the end of an epoch: in the history, and said when it begins to fail."""

from typing import Any

import numpy as np
import pytest
import torch

import throughtime.nn
from throughtime.flow import measure
from throughtime.flow.trace import run
from throughtime.nn.state import zero_state
from throughtime.text import classifier
from throughtime.text.training import callbacks
from throughtime.text.training.flow_watch import FlowWatch

TEXTS = ["a good film", "a bad film", "a good one it was", "a bad one it was"] * 12


def fitted(**overrides: Any) -> classifier.TextClassifier:
    given = {
        "encoder.hidden_size": [6],
        "training.epochs": 2,
        "training.validation_fraction": 0.0,
        "training.min_steps": None,
    } | overrides
    return classifier.TextClassifier(overrides=given, seed=1).fit(TEXTS, [text.split()[1] for text in TEXTS])


def test_stands_in_the_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "TOKENS_PER_WATCH", 1)
    for record in fitted().history_:
        assert set(record["gradient_flow"]) == {"layer 0, forward", "layer 0, reverse"}
        assert 0.0 < record["gradient_flow"]["layer 0, forward"]["norm"] <= 10.0


def test_is_left_out_where_epochs_are_short_or_it_is_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [record["gradient_flow"] for record in fitted().history_] == [None, None]
    monkeypatch.setattr(callbacks, "TOKENS_PER_WATCH", 1)
    off = fitted(**{"training.gradient_flow": False})
    assert [record["gradient_flow"] for record in off.history_] == [None, None]


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("steps", [3, 12, 40])
def test_tells_what_measure_tells(cell: str, steps: int) -> None:
    """One model is not said to vanish in training and to be healthy after it."""
    torch.manual_seed(2)
    layer, x = getattr(throughtime.nn, cell)(5, 24).double(), torch.randn(steps, 12, 5, dtype=torch.float64)
    [direction] = run(layer.options, layer.all_weights, x, zero_state(layer.options, 12, x), None).directions
    _, watched = FlowWatch._back(direction)
    measured = measure(layer, x, sequences=12).worst
    norm = np.exp(np.interp(steps - 1, measured.lags, np.log(measured.norm.median)))
    mean = measured.mean.median
    assert watched["norm"] is not None
    assert watched["highest"] is not None
    assert 0.4 * norm < watched["norm"] < 5 * norm  # of few directions
    assert 0.9 * mean.max() < watched["highest"] < 1.2 * mean.max()


def test_says_when_gradients_begin_to_vanish_or_explode() -> None:
    watch = FlowWatch.__new__(FlowWatch)
    watch._before = {}

    def flow(norm: float, highest: float) -> dict[str, dict[str, float | None]]:
        return {"layer 0, forward": {"norm": norm, "highest": highest, "memory": None}}

    assert watch.onset(flow(0.5, 1.0)) == []
    [said] = watch.onset(flow(0.001, 1.0))
    assert "vanish" in said
    assert "0.001" in said
    assert watch.onset(flow(0.001, 1.0)) == []  # only the onset
    [said] = watch.onset(flow(500.0, 500.0))
    assert "explode" in said
