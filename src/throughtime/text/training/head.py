"""Heads: one vector a token → one score a class."""

import torch
from torch import Tensor, nn

from throughtime.nn.pooling import pool
from throughtime.spec.model import HeadConfig


class ClassificationHead(nn.Module):
    """Pooling over the real tokens of each text, dropout, linear.

    Args:
        encoder_size: features of the encoder's vectors; directions are its two halves where it is bidirectional.
        output_dropout: share of pooled features that are zero on training.
    """

    def __init__(self, config: HeadConfig, encoder_size: int, *, bidirectional: bool, output_dropout: float = 0.0):
        super().__init__()
        self.pooling = config.pooling
        self.bidirectional = bidirectional
        self.dropout = nn.Dropout(output_dropout)
        self.attention = nn.Linear(encoder_size, 1) if config.pooling == "attention" else None
        self.output = nn.Linear(config.input_size(encoder_size), config.num_classes)

    def forward(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """(tokens, encoder_size) of texts end to end, of these lengths (texts,) → (texts, num_classes) scores."""
        scores: Tensor = self.output(self.dropout(self.pool(vectors, lengths)))
        return scores

    def pool(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """(tokens, encoder_size) → (texts, features)."""
        if self.pooling == "last":
            return self._last(vectors, lengths)
        if self.attention is not None:
            weights = _softmax(self.attention(vectors).squeeze(1), lengths)
            [mean] = pool(vectors * weights[:, None], lengths, mean=True)
            return mean * lengths[:, None]
        return torch.cat(pool(vectors, lengths, maximum="max" in self.pooling, mean="mean" in self.pooling), dim=1)

    def _last(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """States that have read the whole text: the forward one at the last token, the reverse one at the first."""
        ends = lengths.cumsum(0)
        final = vectors[ends - 1]
        if not self.bidirectional:
            return final
        half = vectors.shape[1] // 2
        return torch.cat([final[:, :half], vectors[ends - lengths, half:]], dim=1)


def _softmax(scores: Tensor, lengths: Tensor) -> Tensor:
    """(tokens,) scores → (tokens,) shares that are 1 together in each text."""
    real = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
    padded = scores.new_full(real.shape, -torch.inf).masked_scatter(real, scores)
    return padded.softmax(dim=1)[real]
