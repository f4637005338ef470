"""Rounds: every step once, in order, and only whole."""

from hypothesis import given
from hypothesis import strategies as st

from throughtime.text.training.rounds import STEPS_A_ROUND, plan_rounds, round_seed


@given(
    epochs=st.integers(1, 5),
    steps_an_epoch=st.integers(1, 4 * STEPS_A_ROUND),
    max_steps=st.none() | st.integers(1, 8 * STEPS_A_ROUND),
)
def test_rounds_cover_each_step_once_and_end_epochs(epochs: int, steps_an_epoch: int, max_steps: int | None) -> None:
    rounds = plan_rounds(epochs=epochs, steps_an_epoch=steps_an_epoch, max_steps=max_steps)
    total = epochs * steps_an_epoch if max_steps is None else min(max_steps, epochs * steps_an_epoch)
    steps = [at.epoch * steps_an_epoch + step for at in rounds for step in range(at.first, at.last)]
    assert steps == list(range(total))
    assert [at.step for at in rounds] == [at.epoch * steps_an_epoch + at.first for at in rounds]
    assert all(0 < at.last - at.first <= STEPS_A_ROUND for at in rounds)
    ends = [at.epoch for at in rounds if at.ends_epoch]
    assert ends == list(range(-(-total // steps_an_epoch)))
    assert rounds[-1].ends_epoch


def test_seeds_differ_between_rounds_and_runs() -> None:
    seeds = {round_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert round_seed(3, 5) == round_seed(3, 5)
