"""What a task is: sequences drawn at random, a loss, and how well one does who remembers nothing."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from throughtime.spec.errors import OptionError


class Batch(NamedTuple):
    """input: (seq_len, batch, input_size) float32. target: what the task's loss compares with, (…, batch)."""

    input: Tensor
    target: Tensor


class Task(ABC):
    """A problem that needs memory.

    Attributes:
        name: as the command line has it.
        seq_len, input_size, output_size: of inputs, and of what a model gives at each step.
        baseline: expected loss of the best predictor without memory: it knows which step it is at, and its input alone.
        metric: name of what `score` gives.
    """

    name: str
    seq_len: int
    input_size: int
    output_size: int
    baseline: float
    metric: str

    @abstractmethod
    def batch(self, size: int, generator: torch.Generator) -> Batch:
        """`size` fresh sequences for training; the same generator in the same state gives the same ones."""

    def held_out(self, size: int, generator: torch.Generator) -> Batch:
        """`size` sequences to score on; of a task with a data set, none that `batch` draws from."""
        return self.batch(size, generator)

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Scalar, from a model's output (seq_len, batch, output_size)."""

    @abstractmethod
    def score(self, output: Tensor, target: Tensor) -> float:
        """The metric."""


def check_length(name: str, length: int, least: int) -> int:
    """Raises:
    OptionError: a length below what the task needs.
    """
    if length < least:
        raise OptionError(f"length of task {name} must be at least {least}, but is {length}")
    return length
