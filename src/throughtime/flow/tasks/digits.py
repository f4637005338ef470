"""Sequential digits: a picture of a digit read pixel by pixel, named at its end.

Source: Le et al. 2015, there with the 784 pixels of MNIST; here with the 8 × 8 pictures that come with scikit-learn
(the test part of Alpaydin & Kaynak's "Optical Recognition of Handwritten Digits", UCI repository).
"""

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from throughtime.flow.tasks.task import Batch, Task
from throughtime.spec.errors import OptionError

_HELD_OUT_EACH: Final = 5
_CLASSES: Final = 10


class SequentialDigits(Task):
    """Input: a pixel a step, 64 of them, from 0 to 1, row by row. Target (batch,): the digit, due at the last step.

    Every fifth picture is held out. Without memory there is the last pixel: the baseline is the entropy of the digit
    where that is known, from all pictures' frequencies.

    Args:
        length: the pictures have 64 pixels; no other length exists.
        permuted: pixels in one fixed random order, in which neighbours are far apart.
    Raises:
        OptionError: scikit-learn is not installed, or another length.
    """

    name = "digits"
    seq_len = 64
    input_size = 1
    output_size = _CLASSES
    metric = "accuracy"

    def __init__(self, length: int = 64, *, permuted: bool = False) -> None:
        if length != self.seq_len:
            raise OptionError(f"length of task digits must be {self.seq_len}, its pixels, but is {length}")
        pixels, labels = _pictures()
        if permuted:
            pixels = pixels[:, torch.randperm(self.seq_len, generator=torch.Generator().manual_seed(0))]
        self.baseline = _conditional_entropy(pixels[:, -1].numpy(), labels.numpy())
        held_out = torch.arange(len(labels)) % _HELD_OUT_EACH == 0
        self._train = pixels[~held_out], labels[~held_out]
        self._held_out = pixels[held_out], labels[held_out]

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        return _drawn(*self._train, torch.randint(len(self._train[1]), (size,), generator=generator))

    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        return _drawn(*self._held_out, torch.randperm(len(self._held_out[1]), generator=generator)[:size])

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(output[-1], target)

    def score(self, output: Tensor, target: Tensor) -> float:
        return float((output[-1].argmax(1) == target).double().mean())


@lru_cache(maxsize=1)
def _pictures() -> tuple[Tensor, Tensor]:
    """(pictures, 64) from 0 to 1, and (pictures,) digits."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise OptionError(
            "task digits needs the pictures that come with scikit-learn, which is not installed: pip install "
            "'throughtime[tasks]'"
        ) from None
    found = load_digits()
    return torch.from_numpy(found.data).float() / 16.0, torch.from_numpy(found.target).long()


def _drawn(pixels: Tensor, labels: Tensor, rows: Tensor) -> Batch:
    return Batch(pixels[rows].T.unsqueeze(2).contiguous(), labels[rows])


def _conditional_entropy(values: np.ndarray, labels: np.ndarray) -> float:
    """H(label | value) in nats, from frequencies."""
    total = 0.0
    for value in np.unique(values):
        counts = np.bincount(labels[values == value], minlength=_CLASSES)
        shares = counts[counts > 0] / counts.sum()
        total -= counts.sum() / len(labels) * float((shares * np.log(shares)).sum())
    return total
