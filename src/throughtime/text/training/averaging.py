"""Exponential average of weights: what is evaluated and saved, where the recipe asks for it."""

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors: TypeAlias = tuple[Tensor, ...] | list[Tensor]


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` that follows it: average ← d · average + (1 − d) · weights at each update.

    d rises to `decay` as (1 + n) / (10 + n) over n updates, so that the first, random weights are soon forgotten.
    """

    @torch.no_grad()
    def update(averages: Tensors, weights: Tensors, updates: Tensor | int) -> None:
        count = float(updates)
        torch._foreach_lerp_(averages, weights, 1.0 - min(decay, (1.0 + count) / (10.0 + count)))

    return AveragedModel(model, multi_avg_fn=update)
