"""Encoders: token ids → one vector a token. They know nothing of classes or losses; the heads know nothing of them."""

from typing import Final

import torch
from torch import Tensor, nn

from throughtime.nn import GRU, LSTM, RNN
from throughtime.spec.model import PAD_ID, UNKNOWN_ID, EncoderConfig

MASKS: Final = 4
"""Masks of embedding features that the texts of a call draw from: texts that share one share the products of their
words. What other numbers gave: ARCHITECTURE.md, "Decisions"."""


class Embedding(nn.Module):
    """Rows of a table, each met once, with two kinds of dropout on training.

    Args:
        std: standard deviation of the first, normal values.
        word_dropout: share of tokens that become the unknown token: the model must not hang on a single word.
        embedding_dropout: share of features that are zero for a whole text, the same at all its tokens, the others
            scaled up (variational dropout, Gal & Ghahramani 2016).
    """

    def __init__(
        self, vocabulary_size: int, size: int, *, std: float, word_dropout: float = 0.0, embedding_dropout: float = 0.0
    ):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(vocabulary_size, size))
        self.word_dropout = word_dropout
        self.embedding_dropout = embedding_dropout
        nn.init.normal_(self.weight, std=std)
        with torch.no_grad():
            self.weight[PAD_ID].zero_()

    def drop_words(self, ids: Tensor) -> Tensor:
        """ids, on training with a random share of them made unknown."""
        if not self.training or self.word_dropout == 0.0:
            return ids
        return ids.masked_fill(torch.rand(ids.shape, device=ids.device) < self.word_dropout, UNKNOWN_ID)

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(tokens,) ids of texts of these lengths (texts,) → (rows, size) vectors, (tokens,) the row of each token."""
        ids, vocabulary_size = self.drop_words(ids), len(self.weight)
        dropping = self.training and self.embedding_dropout > 0.0
        if dropping:
            mask = torch.randint(MASKS, lengths.shape, device=ids.device).repeat_interleave(lengths)
            ids = mask * vocabulary_size + ids
        different, index = torch.unique(ids, return_inverse=True)
        rows = nn.functional.embedding(different % vocabulary_size, self.weight)
        if dropping:
            kept = torch.rand(MASKS, rows.shape[1], device=rows.device) >= self.embedding_dropout
            factors = kept.to(rows.dtype) / (1.0 - self.embedding_dropout)
            rows = rows * factors[different // vocabulary_size]
        return rows, index


class BagEncoder(nn.Module):
    """Embedding alone: the vector of a token does not depend on its neighbours."""

    def __init__(self, embedding: Embedding):
        super().__init__()
        self.embedding = embedding

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(tokens,) ids of texts end to end, of these lengths (texts,) → (tokens, embedding_size)."""
        rows, index = self.embedding(ids, lengths)
        return nn.functional.embedding(index, rows)


class RecurrentEncoder(nn.Module):
    """Embedding → stack of recurrent layers, over the whole text or afresh in each segment of it."""

    def __init__(self, config: EncoderConfig, embedding: Embedding, *, forget_bias: float | None = None):
        super().__init__()
        self.embedding = embedding
        self.segment = config.segment
        self.recurrent = recurrent_stack(config, forget_bias)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(tokens,) ids of texts end to end, of these lengths (texts,) → (tokens, output_size)."""
        pieces = lengths if self.segment is None else piece_lengths(lengths, self.segment)
        rows, index = self.embedding(ids, lengths)
        output, _ = self.recurrent.end_to_end(rows, pieces, index=index)
        return output


def piece_lengths(lengths: Tensor, segment: int) -> Tensor:
    """Lengths of all texts' segments, in order: of a text's, only the last may be shorter than `segment`."""
    starts = torch.arange(-(-int(lengths.max()) // segment), device=lengths.device) * segment
    pieces = (lengths[:, None] - starts).clamp(0, segment).flatten()
    return pieces[pieces > 0]


def recurrent_stack(config: EncoderConfig, forget_bias: float | None) -> RNN | GRU | LSTM:
    """The layers that `config` describes, with fresh parameters."""
    sizes = list(config.hidden_size)
    if config.cell == "RNN":
        return RNN(config.embedding_size, sizes, nonlinearity=config.nonlinearity, bidirectional=config.bidirectional)
    if config.cell == "GRU":
        return GRU(config.embedding_size, sizes, bidirectional=config.bidirectional, reset_after=config.reset_after)
    return LSTM(config.embedding_size, sizes, bidirectional=config.bidirectional, forget_bias=forget_bias)
