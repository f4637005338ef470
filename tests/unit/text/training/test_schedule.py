"""The learning rate: warm-up, then the schedule, as a function of the step."""

import pytest

from throughtime.text.config import Optimiser
from throughtime.text.training.schedule import learning_rate


def rates(config: Optimiser, total: int) -> list[float]:
    return [learning_rate(config, step, total) for step in range(total)]


def test_linear_rises_then_falls_to_nearly_zero() -> None:
    values = rates(Optimiser(learning_rate=1.0, warmup=0.1, schedule="linear"), 1000)
    assert max(values) == pytest.approx(1.0, abs=0.002)
    assert 95 <= values.index(max(values)) <= 105
    assert values[:100] == sorted(values[:100])
    assert values[105:] == sorted(values[105:], reverse=True)
    assert 0.0 < values[0] < 0.02
    assert 0.0 < values[-1] < 0.002


def test_cosine_is_half_way_in_the_middle() -> None:
    values = rates(Optimiser(learning_rate=2.0, warmup=0.0, schedule="cosine"), 999)
    assert values[499] == pytest.approx(1.0)


def test_constant_stays_from_the_first_step_without_warmup() -> None:
    assert set(rates(Optimiser(learning_rate=0.5, warmup=0.0, schedule="constant"), 50)) == {0.5}


def test_a_single_step_has_a_rate() -> None:
    assert learning_rate(Optimiser(), 0, 1) > 0.0
