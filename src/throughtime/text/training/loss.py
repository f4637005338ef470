"""What training minimises: cross-entropy with label smoothing, each text counted by the weight of its class."""

import torch
from torch import Tensor, nn


class TextLoss(nn.Module):
    """Mean over texts, by their classes' weights, of the cross-entropy against smoothed labels.

    Not CrossEntropyLoss(weight=, label_smoothing=): that multiplies each class's part of the smoothing by the class's
    weight, so that beside a rare class's the parts of all others are nothing, and the best prediction for every text
    is the rare class.

    Args:
        class_weights: (num_classes,); None: 1 each.
        label_smoothing: share of each label that is spread evenly over all classes.
    """

    def __init__(self, class_weights: Tensor | None, label_smoothing: float) -> None:
        super().__init__()
        self.weight: Tensor | None
        self.register_buffer("weight", class_weights)
        self._of_texts = nn.CrossEntropyLoss(label_smoothing=label_smoothing, reduction="none")

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """(batch, num_classes) before the softmax, (batch,) → the mean."""
        losses: Tensor = self._of_texts(scores, labels)
        if self.weight is None:
            return losses.mean()
        weights = self.weight[labels]
        return (losses * weights).sum() / weights.sum()

    @torch.no_grad()
    def mass(self, labels: Tensor) -> float:
        """Of all these texts together: what their mean counts for."""
        return float(len(labels)) if self.weight is None else float(self.weight[labels].sum())
