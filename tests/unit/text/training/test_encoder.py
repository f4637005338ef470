"""The embedding's two kinds of dropout, and how a text becomes segments."""

import torch

from throughtime.spec.model import UNKNOWN_ID
from throughtime.text.training.encoder import MASKS, Embedding, piece_lengths

LENGTHS = torch.tensor([5, 1, 9, 4, 7, 6, 3, 8])


def _vectors(embedding: Embedding, ids: torch.Tensor) -> torch.Tensor:
    rows, index = embedding(ids, LENGTHS)
    assert len(rows) <= len(index) == len(ids)
    vectors: torch.Tensor = rows[index]
    return vectors


def test_a_feature_is_dropped_for_a_whole_text_by_one_of_few_masks() -> None:
    torch.manual_seed(0)
    embedding = Embedding(50, 40, std=1.0, embedding_dropout=0.5).train()
    ids = torch.randint(2, 50, (int(LENGTHS.sum()),))
    vectors, plain = _vectors(embedding, ids), embedding.weight[ids]
    patterns = set()
    for got, whole in zip(
        vectors.split_with_sizes(LENGTHS.tolist()), plain.split_with_sizes(LENGTHS.tolist()), strict=True
    ):
        kept = got[0] != 0
        assert torch.equal(got, torch.where(kept, 2.0 * whole, 0.0))
        patterns.add(tuple(kept.tolist()))
    assert 1 < len(patterns) <= MASKS


def test_without_training_nothing_is_dropped_and_each_word_is_met_once() -> None:
    embedding = Embedding(50, 4, std=1.0, word_dropout=0.5, embedding_dropout=0.5).eval()
    ids = torch.randint(2, 9, (int(LENGTHS.sum()),))
    rows, _ = embedding(ids, LENGTHS)
    assert len(rows) == len(torch.unique(ids))
    assert torch.equal(_vectors(embedding, ids), embedding.weight[ids])


def test_dropped_words_are_unknown() -> None:
    torch.manual_seed(0)
    embedding = Embedding(50, 4, std=1.0, word_dropout=0.3).train()
    ids = torch.randint(2, 50, (10_000,))
    after = embedding.drop_words(ids)
    changed = after != ids
    assert (after[changed] == UNKNOWN_ID).all()
    assert 0.27 < changed.float().mean() < 0.33


def test_pieces_of_each_text_in_order() -> None:
    assert piece_lengths(torch.tensor([7, 3, 1, 6]), 3).tolist() == [3, 3, 1, 3, 1, 3, 3]
