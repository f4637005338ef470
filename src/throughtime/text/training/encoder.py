"""Encoders: token ids → one vector a token. They know nothing of classes or losses; the heads know nothing of them."""

import torch
from torch import Tensor, nn

from throughtime.nn import GRU, LSTM, RNN
from throughtime.spec.model import PAD_ID, UNKNOWN_ID, EncoderConfig


class Embedding(nn.Module):
    """Rows of a table, with two kinds of dropout on training.

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
        """(batch, seq_len) ids, on training with a random share of the real ones made unknown."""
        if not self.training or self.word_dropout == 0.0:
            return ids
        dropped = (torch.rand(ids.shape, device=ids.device) < self.word_dropout) & (ids != PAD_ID)
        return ids.masked_fill(dropped, UNKNOWN_ID)

    def feature_mask(self, batch: int) -> Tensor | None:
        """(batch, size) factors for a batch of texts: 0 or 1 / (1 - embedding_dropout); None for nothing dropped."""
        if not self.training or self.embedding_dropout == 0.0:
            return None
        kept = torch.rand(batch, self.weight.shape[1], device=self.weight.device) >= self.embedding_dropout
        return kept.to(self.weight.dtype) / (1.0 - self.embedding_dropout)

    def forward(self, ids: Tensor) -> Tensor:
        vectors: Tensor = nn.functional.embedding(ids, self.weight, padding_idx=PAD_ID)
        return vectors


class BagEncoder(nn.Module):
    """Embedding alone: the vector of a token does not depend on its neighbours."""

    def __init__(self, embedding: Embedding):
        super().__init__()
        self.embedding = embedding

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(batch, seq_len) ids and (batch,) lengths → (batch, seq_len, embedding_size); padding is left unmasked."""
        vectors: Tensor = self.embedding(self.embedding.drop_words(ids))
        factors = self.embedding.feature_mask(len(ids))
        return vectors if factors is None else vectors * factors[:, None, :]


class RecurrentEncoder(nn.Module):
    """Embedding → stack of recurrent layers, over the whole text or afresh in each segment of it."""

    def __init__(self, config: EncoderConfig, embedding: Embedding, *, forget_bias: float | None = None):
        super().__init__()
        self.embedding = embedding
        self.segment = config.segment
        self.recurrent = recurrent_stack(config, forget_bias)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(batch, seq_len) ids and (batch,) lengths → (batch, seq_len, output_size), zero on padding."""
        batch, seq_len = ids.shape
        segment = seq_len if self.segment is None else min(self.segment, seq_len)
        ids = self.embedding.drop_words(ids)
        pieces_a_text = -(-seq_len // segment)
        if pieces_a_text * segment != seq_len:
            ids = nn.functional.pad(ids, (0, pieces_a_text * segment - seq_len), value=PAD_ID)

        # Each segment is a row of its own; those that hold padding only are left out of all work.
        starts = torch.arange(pieces_a_text, device=ids.device) * segment
        piece_lengths = (lengths[:, None] - starts).clamp(0, segment).flatten()
        real = piece_lengths > 0
        pieces = ids.reshape(batch * pieces_a_text, segment)[real]
        # (segment, pieces, embedding_size): time first and contiguous, as layers want it.
        vectors = self.embedding(pieces.t())
        factors = self.embedding.feature_mask(batch)
        if factors is not None:
            vectors = vectors * factors.repeat_interleave(pieces_a_text, dim=0)[real]
        output, _ = self.recurrent(vectors, lengths=piece_lengths[real])

        empty: Tensor = output.new_zeros(batch * pieces_a_text, segment, output.shape[-1])
        texts = empty.index_put((real.nonzero().squeeze(1),), output.transpose(0, 1))
        return texts.view(batch, pieces_a_text * segment, -1)[:, :seq_len]


def recurrent_stack(config: EncoderConfig, forget_bias: float | None) -> RNN | GRU | LSTM:
    """The layers that `config` describes, with fresh parameters."""
    sizes = list(config.hidden_size)
    if config.cell == "RNN":
        return RNN(config.embedding_size, sizes, nonlinearity=config.nonlinearity, bidirectional=config.bidirectional)
    if config.cell == "GRU":
        return GRU(config.embedding_size, sizes, bidirectional=config.bidirectional, reset_after=config.reset_after)
    return LSTM(config.embedding_size, sizes, bidirectional=config.bidirectional, forget_bias=forget_bias)
