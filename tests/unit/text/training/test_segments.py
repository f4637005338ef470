"""Segment dropout keeps whole segments, in order, and at least one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from throughtime.text.training.segments import drop_segments


@given(
    lengths=st.lists(st.integers(1, 23), min_size=1, max_size=6),
    segment=st.integers(1, 9),
    share=st.floats(0.0, 0.95),
    seed=st.integers(0, 2**31),
)
def test_what_stays_is_whole_segments_in_order(lengths: list[int], segment: int, share: float, seed: int) -> None:
    torch.manual_seed(seed)
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.int64)
    for row, length in enumerate(lengths):
        ids[row, :length] = 100 * row + torch.arange(1, length + 1)
    shorter, left = drop_segments(ids, torch.tensor(lengths), segment, share)
    assert shorter.shape == (len(lengths), int(left.max()))
    for row, length in enumerate(lengths):
        whole = [ids[row, start : min(start + segment, length)].tolist() for start in range(0, length, segment)]
        kept = shorter[row, : int(left[row])].tolist()
        assert kept
        assert (shorter[row, int(left[row]) :] == 0).all()
        remaining = iter(whole)
        pieces = [kept[start : start + segment] for start in range(0, len(kept), segment)]
        assert all(any(piece == candidate for candidate in remaining) for piece in pieces)


def test_share_zero_changes_nothing() -> None:
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]])
    lengths = torch.tensor([5, 2])
    shorter, left = drop_segments(ids, lengths, 2, 0.0)
    assert torch.equal(shorter, ids)
    assert torch.equal(left, lengths)


def test_the_share_is_the_share() -> None:
    torch.manual_seed(0)
    _, left = drop_segments(torch.ones(200, 1000, dtype=torch.int64), torch.full((200,), 1000), 10, 0.3)
    assert 0.68 < float(left.sum()) / 200_000 < 0.72


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_few_segments_lose_no_less(count: int, share: float) -> None:
    """Each stays with probability 1 − share; where all would go, which has probability share^count, one stays."""
    torch.manual_seed(0)
    texts = 20_000
    _, left = drop_segments(
        torch.ones(texts, 10 * count, dtype=torch.int64), torch.full((texts,), 10 * count), 10, share
    )
    expected = count * (1 - share) + share**count
    assert abs(float(left.sum()) / 10 / texts - expected) < 0.03
