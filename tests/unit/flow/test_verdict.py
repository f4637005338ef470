"""Words from numbers: each verdict at its threshold, and memory lengths."""

import math
from typing import Any

import numpy as np
import pytest

from throughtime.flow.gates import GateActivity
from throughtime.flow.memory import memory_length
from throughtime.flow.verdict import EXPLODING, SATURATED, VANISHING, find

LAGS = np.arange(11)
OPEN = GateActivity("h", "-1..1", 0.1, 0.1, 0.0)
SHUT = GateActivity("h", "-1..1", 0.3, 0.3, 0.0)


def decay(last: float) -> Any:
    return last ** (LAGS / 10.0)


@pytest.mark.parametrize(
    ("norm", "mean", "gates", "verdict"),
    [
        (decay(VANISHING), decay(VANISHING / 2), (OPEN,), "healthy"),
        (decay(VANISHING * 0.999), decay(VANISHING / 2), (OPEN,), "vanishing"),
        (decay(VANISHING * 0.999), decay(VANISHING / 2), (SHUT,), "saturated"),
        (decay(VANISHING * 0.999), decay(VANISHING / 2), (SHUT, OPEN), "vanishing"),
        (decay(VANISHING * 0.999), decay(VANISHING / 2), (), "vanishing"),
        (decay(1.0), decay(1.0), (SHUT,), "healthy"),
        (decay(1e6), decay(EXPLODING), (OPEN,), "healthy"),
        (decay(1e6), decay(EXPLODING * 1.001), (OPEN,), "exploding"),
        (np.where(LAGS == 4, 1e9, 1e-9), np.where(LAGS == 4, 1e3, 1e-9), (SHUT,), "exploding"),
        (np.array([1.0] * 10 + [0.0]), np.array([1.0] * 10 + [0.0]), (OPEN,), "vanishing"),
        (decay(math.inf), np.array([1.0] * 10 + [math.inf]), (OPEN,), "exploding"),
    ],
)
def test_verdicts_at_their_thresholds(norm: Any, mean: Any, gates: Any, verdict: str) -> None:
    finding = find(LAGS, norm, mean, gates)
    assert finding.verdict == verdict
    threshold = {"healthy": "0.01", "vanishing": "1%", "saturated": "50%", "exploding": "100"}[verdict]
    assert threshold in finding.reason
    assert SATURATED == 0.5


def test_a_relu_or_no_range_is_never_saturated() -> None:
    for gate in (GateActivity("h", "0..", 0.9, 0.0, 0.1), GateActivity("n", "any", 0.0, 0.0, 0.1)):
        assert gate.saturated == 0.0
        assert find(LAGS, decay(1e-9), decay(1e-9), (SHUT, gate)).verdict == "vanishing"


@pytest.mark.parametrize(
    ("norm", "level", "expected"),
    [
        ([1.0, 0.5, 0.25, 0.125], 0.25, 2.0),
        ([1.0, 0.1, 0.01, 0.001], math.sqrt(0.1), 0.5),
        ([1.0, 0.5, 0.25, 0.125], 0.1, None),
        ([1.0, 0.001, 0.5, 0.001], 0.01, 2 + math.log(50) / math.log(500)),  # it came back
        ([1.0, 0.0, 0.0, 0.0], 0.01, 1.0),
        ([1.0, 2.0, 4.0, 8.0], 0.01, None),
    ],
)
def test_memory_length(norm: list[float], level: float, expected: float | None) -> None:
    got = memory_length(np.arange(4), np.array(norm), level)
    assert got == (None if expected is None else pytest.approx(expected))
    if expected is not None:
        assert memory_length(np.array([0, 10, 20, 30]), np.array(norm), level) == pytest.approx(10 * expected)
