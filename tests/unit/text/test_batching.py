"""Every row once an epoch, lengths alike in a batch, the order a function of seed and epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.spec.errors import OptionError
from throughtime.spec.model import PreprocessingConfig
from throughtime.text.batching import BucketBatches, collate
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.tokenizing import TokenizerOptions

LENGTHS = np.random.Generator(np.random.PCG64(0)).integers(1, 400, 5000).astype(np.int32)


def batches(batch_size: int = 32, seed: int = 1, shuffle: bool = True) -> BucketBatches:
    return BucketBatches(LENGTHS, np.arange(100, 5000), batch_size=batch_size, seed=seed, shuffle=shuffle)


@given(st.integers(0, 700), st.integers(1, 65), st.integers(0, 3), st.booleans())
def test_each_row_once_an_epoch_in_full_batches(rows: int, batch_size: int, epoch: int, shuffle: bool) -> None:
    indices = np.arange(rows, dtype=np.int64) * 3
    lengths = (np.arange(3 * rows + 1) * 7919 % 50).astype(np.int32)
    bucketed = BucketBatches(lengths, indices, batch_size=batch_size, seed=0, shuffle=shuffle)
    cut = bucketed.epoch(epoch)
    assert len(cut) == len(bucketed)
    assert sorted(len(batch) for batch in cut)[1:] == [batch_size] * (len(cut) - 1)
    assert sorted(np.concatenate([*cut, []]).tolist()) == indices.tolist()


def test_epochs_are_a_function_of_seed_and_number() -> None:
    def rows(seed: int, epoch: int) -> list[int]:
        order: list[int] = np.concatenate(batches(seed=seed).epoch(epoch)).tolist()
        return order

    assert rows(1, 0) == rows(1, 0)
    assert rows(1, 0) != rows(1, 1)
    assert rows(1, 0) != rows(2, 0)


def test_who_meets_whom_changes_with_the_epoch() -> None:
    first, second = (
        {frozenset(batch.tolist()) for batch in batches(batch_size=4).epoch(number)} for number in range(2)
    )
    assert len(first & second) < 10


def test_padding_is_small_and_lengths_do_not_come_in_order() -> None:
    epoch = batches().epoch(0)
    padded = sum(len(batch) * int(LENGTHS[batch].max()) for batch in epoch)
    assert padded < 1.05 * LENGTHS[100:].sum()
    longest = [int(LENGTHS[batch].max()) for batch in epoch]
    assert longest != sorted(longest)


def test_without_shuffling_rows_come_by_length_every_time() -> None:
    order = np.concatenate(batches(shuffle=False).epoch(0))
    assert (np.diff(LENGTHS[order]) >= 0).all()
    assert (order == np.concatenate(batches(shuffle=False, seed=9).epoch(5))).all()


def test_impossible_options_are_refused() -> None:
    with pytest.raises(OptionError, match="batch_size must be at least 1, but is 0"):
        batches(batch_size=0)
    with pytest.raises(OptionError, match="seed must be at least 0, but is -1"):
        batches(seed=-1)


def test_collate_pads_with_zero() -> None:
    corpus = corpus_from_lists(
        ["b a", "a", "a b b", "", "b", " "],
        ["x", "y", "y", "x", "x", "y"],
        tokenizer=TokenizerOptions(min_count=1),
        preprocessing=PreprocessingConfig(max_tokens=9, cut="head"),
        validation_fraction=0.0,
    )
    batch = collate(corpus, np.array([2, 3, 0]))
    assert batch.ids.tolist() == [[3, 2, 2], [0, 0, 0], [2, 3, 0]]
    assert batch.lengths.tolist() == [3, 0, 2]
    assert batch.labels.tolist() == [1, -1, 0]
    assert {array.dtype for array in batch} == {np.dtype(np.int64)}
    assert collate(corpus, np.array([3, 5])).ids.shape == (2, 1)
