"""Tensors as the core takes them: capsules of what lies in memory."""

from typing import Any, Final

import torch
from torch import Tensor

# Straight to a capsule: a tenth of the time of Tensor.__dlpack__, which counts where a whole step takes microseconds.
array: Final[Any] = torch._C._to_dlpack


def whole(tensor: Tensor) -> Tensor:
    """Contiguous, with the values that it shows: negated views (`z.conj().imag`) have the other sign in memory."""
    return tensor.resolve_neg().contiguous()


def with_whole_features(tensor: Tensor) -> Tensor:
    """As `whole`, but steps and sequences of a padded batch may lie anywhere."""
    tensor = tensor.resolve_neg()
    if tensor.dim() == 2:
        return tensor.contiguous()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()
