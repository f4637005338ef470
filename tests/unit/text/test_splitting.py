"""Who trains, who validates, who tests: no group and no text on two sides, no class lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from throughtime.spec.errors import DataError, OptionError
from throughtime.text.splitting import TEST, TRAIN, VALIDATION, split


def divided(
    labels: list[int],
    groups: list[int] | None = None,
    hashes: list[int] | None = None,
    *,
    validation: float = 0.2,
    test: float = 0.0,
    seed: int = 0,
    empty: list[bool] | None = None,
    drawn_by: list[int] | None = None,
) -> NDArray[np.int8]:
    return split(
        np.array(labels, dtype=np.int32),
        None if groups is None else np.array(groups, dtype=np.int64),
        np.array(range(len(labels)) if hashes is None else hashes, dtype=np.uint64),
        validation_fraction=validation,
        test_fraction=test,
        seed=seed,
        empty=None if empty is None else np.array(empty),
        drawn_by=None if drawn_by is None else np.array(drawn_by, dtype=np.uint64),
    )


def test_shares_of_classes_are_kept_without_groups() -> None:
    side = divided([0] * 100 + [1] * 50, validation=0.2, test=0.1)
    for number, share in ((VALIDATION, 0.2), (TEST, 0.1)):
        assert (side[:100] == number).sum() == round(100 * share)
        assert (side[100:] == number).sum() == round(50 * share)


def test_groups_stay_whole_and_reach_about_their_share() -> None:
    groups = np.repeat(np.arange(50), 4)
    side = divided([0, 1] * 100, groups.tolist(), validation=0.2)
    assert all(len(set(side[groups == group])) == 1 for group in range(50))
    assert (side == VALIDATION).sum() == 40


def test_a_huge_group_is_passed_over() -> None:
    groups = [0] * 900 + list(range(1, 101))
    for seed in range(10):
        side = divided([0, 1] * 500, groups, validation=0.05, seed=seed)
        assert (side == VALIDATION).sum() == 50
        assert (side[:900] == TRAIN).all()


def test_equal_texts_go_together_without_groups() -> None:
    hashes = [row // 5 for row in range(200)]
    side = divided([0, 1] * 100, hashes=hashes, validation=0.3)
    assert all(len(set(side[5 * text : 5 * text + 5])) == 1 for text in range(40))


def test_a_class_with_one_row_stays_in_training() -> None:
    for seed in range(20):
        side = divided([0] * 50 + [1] * 50 + [2], validation=0.4, seed=seed)
        assert side[-1] == TRAIN


def test_a_class_in_one_group_stays_in_training() -> None:
    groups = [*range(20), 99, 99, 99]
    for seed in range(20):
        side = divided([0, 1] * 10 + [2, 2, 2], groups, validation=0.5, seed=seed)
        assert (side[-3:] == TRAIN).all()


def test_small_data_gives_at_least_one_row() -> None:
    assert (divided([0, 0, 0, 0, 1, 1, 1, 1], validation=0.1) == VALIDATION).sum() == 1


def test_empty_rows_are_not_held_together_and_do_not_keep_a_class() -> None:
    empty = [True] * 10 + [False] * 20
    hashes = [0] * 10 + list(range(1, 21))
    side = divided([0] * 10 + [0, 1] * 10, hashes=hashes, validation=0.5, empty=empty)
    assert 0 < (side[:10] == VALIDATION).sum() < 10
    labels = np.array([0] * 10 + [0] + [1] * 19)
    for seed in range(10):
        side = divided(labels.tolist(), hashes=hashes, validation=0.5, empty=empty, seed=seed)
        assert side[10] == TRAIN  # the only row with text of its class


def test_a_text_that_changes_moves_no_row() -> None:
    labels, hashes = [0, 1] * 50, [row * 7919 % 101 for row in range(100)]
    changed = [(100 - text) * 31 for text in hashes]
    assert (divided(labels, hashes=hashes) == divided(labels, hashes=changed)).all()


def test_a_text_that_is_the_same_though_not_to_the_letter_moves_few_rows() -> None:
    labels, letters = [0, 1] * 100, [row * 7919 % 211 for row in range(200)]
    same = [*letters[:190], *letters[:10]]
    for seed in range(5):
        before = divided(labels, hashes=letters, seed=seed)
        after = divided(labels, hashes=same, drawn_by=letters, seed=seed)
        assert (after[190:] == after[:10]).all()
        assert (before != after).sum() <= 20
        assert (divided(labels, hashes=letters, drawn_by=letters, seed=seed) == before).all()


def test_the_same_seed_gives_the_same_split_and_another_another() -> None:
    labels = [0, 1] * 200
    assert (divided(labels, seed=3) == divided(labels, seed=3)).all()
    assert (divided(labels, seed=3) != divided(labels, seed=4)).any()


def test_nothing_is_held_out_if_not_asked() -> None:
    assert (divided([0, 1, 0], validation=0.0) == TRAIN).all()


@pytest.mark.parametrize("groups", [[7, 7, 7, 7], [0, 0, 1, 1]])
def test_groups_that_cannot_be_divided_are_refused_with_the_remedy(groups: list[int]) -> None:
    with pytest.raises(
        DataError, match=r"held out for validation.* groups?, .*another group column.*validation_fraction"
    ):
        divided([0, 0, 1, 1], groups)


def test_one_text_for_all_is_refused() -> None:
    with pytest.raises(DataError, match=r"100 rows hold 1 different text \(equal ones stay together\)"):
        divided([0, 1] * 50, hashes=[5] * 100)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.0), (0.5, 0.5), (0.0, 1.0)])
def test_impossible_fractions_are_refused(validation: float, test: float) -> None:
    with pytest.raises(OptionError, match=f"but are {validation} and {test}"):
        divided([0, 1], validation=validation, test=test)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(OptionError, match="seed must be at least 0, but is -1"):
        divided([0, 1], seed=-1)


@given(st.data())
def test_no_group_is_torn_and_no_class_is_lost(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 60))
    numbers = st.lists(st.integers(0, 8), min_size=rows, max_size=rows)
    labels, keys = data.draw(numbers), data.draw(numbers)
    labels = [sorted(set(labels)).index(label) for label in labels]
    by_group = data.draw(st.booleans())
    validation, test = data.draw(st.floats(0, 0.6)), data.draw(st.floats(0, 0.39))
    groups, hashes = (keys, None) if by_group else (None, keys)
    try:
        side = divided(labels, groups, hashes, validation=validation, test=test, seed=data.draw(st.integers(0, 9)))
    except DataError:
        assert validation or test
        return
    for key in set(keys):
        assert len({int(s) for s, k in zip(side, keys, strict=True) if k == key}) == 1
    assert {label for label, s in zip(labels, side, strict=True) if s == TRAIN} == set(labels)
    assert bool(validation) == bool((side == VALIDATION).any())
    assert bool(test) == bool((side == TEST).any())
