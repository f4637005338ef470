"""Heads: one vector a token → one score a class."""

import torch
from torch import Tensor, nn

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
        """(batch, seq_len, encoder_size) and (batch,) lengths, each at least 1 → (batch, num_classes) scores."""
        scores: Tensor = self.output(self.dropout(self.pool(vectors, lengths)))
        return scores

    def pool(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        if self.pooling == "last":
            return self._last(vectors, lengths)
        real = (torch.arange(vectors.shape[1], device=lengths.device) < lengths[:, None])[:, :, None]
        if self.attention is not None:
            weights = self.attention(vectors).masked_fill(~real, -torch.inf).softmax(dim=1)
            attended: Tensor = (weights * vectors).sum(dim=1)
            return attended
        pooled = []
        if "max" in self.pooling:
            pooled.append(vectors.masked_fill(~real, -torch.inf).amax(dim=1))
        if "mean" in self.pooling:
            pooled.append(vectors.masked_fill(~real, 0.0).sum(dim=1) / lengths[:, None].to(vectors.dtype))
        return torch.cat(pooled, dim=1)

    def _last(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        """States that have read the whole text: the forward one at the last token, the reverse one at the first."""
        rows = torch.arange(len(vectors), device=vectors.device)
        final = vectors[rows, lengths - 1]
        if not self.bidirectional:
            return final
        half = vectors.shape[2] // 2
        return torch.cat([final[:, :half], vectors[:, 0, half:]], dim=1)
