"""Words from numbers: each verdict at its threshold, its advice, and memory lengths."""

import math
from typing import Any

import numpy as np
import pytest

from throughtime.flow.advice import Facts, advise
from throughtime.flow.gates import GateActivity
from throughtime.flow.memory import memory_length
from throughtime.flow.verdict import EXPLODING, SATURATED, VANISHING, find, worst

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


def test_the_worst_of_several() -> None:
    findings = [find(LAGS, decay(n), decay(n), (g,)) for n, g in ((1, OPEN), (1e-9, OPEN), (1e-9, SHUT), (1e9, OPEN))]
    for count in range(1, 5):
        assert worst(findings[:count]) is findings[count - 1]
        assert worst(findings[:count][::-1]) is findings[count - 1]


def facts(**values: Any) -> Facts:
    base: dict[str, Any] = {"verdict": "vanishing", "longest": 200, "growth": 1.0, "growth_lag": 0, "radius": 0.5}
    return Facts(**(base | {"exponent": -0.7, "gates": (OPEN,)} | values))


def test_advice_follows_from_the_numbers() -> None:
    gated, orthogonal = advise(facts())
    assert "gated" in gated
    assert "orthogonal" in orthogonal and "7 steps" in orthogonal  # ln 0.01 / ln 0.5 = 6.6
    assert "sigmoid" in advise(facts(gates=(GateActivity("h", "0..1", 0.0, 0.0, 0.5),)))[-1]
    (forget,) = advise(facts(gates=(GateActivity("f", "0..1", 0.0, 0.0, 0.75),)))
    # σ(b)^200 = 0.01 at b = 3.76
    assert "forget_bias = 3.8" in forget and "chrono" in forget and "0.75" in forget
    r, z = GateActivity("r", "0..1", 0.0, 0.0, 0.5), GateActivity("z", "0..1", 0.0, 0.0, 0.2)
    (update,) = advise(facts(gates=(r, z, OPEN)))
    assert "0.20 of the state" in update
    (update,) = advise(facts(gates=(z, OPEN)))
    assert "0.80 of the state" in update
    saturated = advise(facts(verdict="saturated", gates=(SHUT,)))
    assert "h 60%" in saturated[0] and len(saturated) == 3
    exploding = advise(facts(verdict="exploding", growth=5e3, growth_lag=90, radius=1.4, exponent=0.1))
    assert "clip" in exploding[0] and "5e+03-fold over 90 steps" in exploding[0]
    assert "46 steps" in exploding[1]  # ln 100 / 0.1
    assert "1.4" in exploding[2]
    assert len(advise(facts(verdict="exploding", radius=0.9, exponent=-0.1))) == 2
    (nothing,) = advise(facts(verdict="healthy"))
    assert nothing.startswith("nothing")


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
