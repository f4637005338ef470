"""Ragged batches: the lengths of a batch, checked once, and the masks and indices that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import torch
from torch import Tensor

from throughtime.spec.errors import ShapeError

Lengths: TypeAlias = Tensor | Sequence[int] | Any
"""What a user may give: an integer tensor on any device, a list, or a NumPy array."""


@dataclass(frozen=True)
class Ragged:
    """The lengths of a batch of which at least one sequence is shorter than the padded input.

    Args:
        lengths: (batch,) int64 on the CPU, each in 1..seq_len.
        seq_len: steps of the padded input.
        device: where the input is.
    """

    lengths: Tensor
    seq_len: int
    device: torch.device

    @cached_property
    def real_share(self) -> float:
        """Share of real steps among all steps of the padded input."""
        return int(self.lengths.sum()) / (self.seq_len * self.lengths.numel())

    @cached_property
    def _steps(self) -> Tensor:
        return torch.arange(self.seq_len, device=self.device).unsqueeze(1)

    @cached_property
    def _lengths_there(self) -> Tensor:
        return self.lengths.to(self.device, non_blocking=True)

    @cached_property
    def padding(self) -> Tensor:
        """(seq_len, batch, 1) bool: true past the end of a sequence."""
        return (self._steps >= self._lengths_there).unsqueeze(2)

    @cached_property
    def _flip_index(self) -> Tensor:
        steps, lengths = self._steps, self._lengths_there
        source = torch.where(steps < lengths, lengths - 1 - steps, steps)
        return self._flat(source).reshape(-1)

    @cached_property
    def _last_index(self) -> Tensor:
        return self._flat(self._lengths_there - 1)

    def _flat(self, step: Tensor) -> Tensor:
        """Row of (step, sequence) in an array whose first two axes are merged."""
        batch = self.lengths.numel()
        return step * batch + torch.arange(batch, device=self.device)

    def clear(self, array: Tensor) -> Tensor:
        """`array` (seq_len, batch, features) with exact zeros in the padding, and in its gradient there."""
        return array.masked_fill(self.padding, 0.0)

    def flip(self, array: Tensor) -> Tensor:
        """Each sequence of `array` (seq_len, batch, features) in reverse order, its padding left behind it."""
        # One index_select over merged axes: measured 3 to 6 times faster than gather, forward and backward.
        return array.flatten(0, 1).index_select(0, self._flip_index).view(array.shape)

    def last(self, array: Tensor) -> Tensor:
        """Row of the last real step of each sequence: (seq_len, batch, features) → (1, batch, features)."""
        return array.flatten(0, 1).index_select(0, self._last_index).unsqueeze(0)


@dataclass(frozen=True)
class Unpadded:
    """Where the rows of a batch without padding stand in the padded one.

    Args:
        lengths: (batch,) int64 on the CPU, each at least 1.
        by_step: as in a packed sequence, all first steps first; else sequences end to end.
        device: where the rows are.
    """

    lengths: Tensor
    by_step: bool
    device: torch.device

    @cached_property
    def _places(self) -> tuple[Tensor, Tensor]:
        """Step and sequence of each row."""
        real = torch.arange(int(self.lengths.max()), device="cpu").unsqueeze(1) < self.lengths
        step, sequence = real.nonzero(as_tuple=True) if self.by_step else real.t().nonzero(as_tuple=True)[::-1]
        return step.to(self.device), sequence.to(self.device)

    def pad(self, rows: Tensor) -> Tensor:
        """(tokens, features) → (longest, batch, features), zero on padding."""
        padded = rows.new_zeros(int(self.lengths.max()), len(self.lengths), rows.shape[1])
        return padded.index_put(self._places, rows)

    def take(self, padded: Tensor) -> Tensor:
        """The inverse of `pad`; what stands in the padding is left out."""
        return padded[self._places]


def as_integers(name: str, values: Any, device: torch.device | None = None) -> Tensor:
    """A tensor of what may be a list or an array; on `device`, or where it is: a list and an array on the CPU.

    Raises:
        ShapeError: it is nothing of the kind.
    """
    try:
        return torch.as_tensor(values, device=device if isinstance(values, Tensor) or device else torch.device("cpu"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(f"{name} must be integers (a tensor, list or array), but is {values!r}") from error


def check_end_to_end(lengths: Lengths, tokens: int) -> Tensor:
    """`lengths` as (batch,) int64 on the CPU.

    Raises:
        ShapeError: not integers, not of one axis, one of them below 1, or their sum is not `tokens`.
    """
    values = as_integers("lengths", lengths, torch.device("cpu"))
    if values.dim() != 1 or values.dtype.is_floating_point or values.dtype.is_complex or values.dtype == torch.bool:
        raise ShapeError(
            f"lengths must be (batch,) integers, but its shape is {tuple(values.shape)} and its dtype {values.dtype}"
        )
    values = values.long()
    wrong = (values < 1).nonzero()
    if wrong.numel():
        first = int(wrong[0])
        raise ShapeError(f"lengths must be at least 1, but lengths[{first}] is {int(values[first])}")
    if int(values.sum()) != tokens:
        raise ShapeError(f"lengths must add up to the tokens, but {int(values.sum())} != {tokens}")
    if not tokens:
        raise ShapeError("there must be at least 1 token, but lengths is empty")
    return values


def check_index(index: Tensor | Any, x: Tensor) -> Tensor:
    """`index` as an integer tensor on the device of x (rows, features).

    Raises:
        ShapeError: not (tokens,) integers, at least one, or one of them outside 0..rows - 1.
    """
    values = as_integers("index", index, x.device)
    if values.dim() != 1 or not values.numel() or values.dtype not in (torch.int32, torch.int64):
        raise ShapeError(
            f"index must be (tokens,) integers, but its shape is {tuple(values.shape)} and its dtype {values.dtype}"
        )
    lowest, highest = (int(end) for end in torch.aminmax(values))
    if lowest < 0 or highest >= x.shape[0]:
        raise ShapeError(f"index must be in 0..{x.shape[0] - 1}, but goes from {lowest} to {highest}")
    return values


def rows_of_tokens(x: Tensor, index: Tensor) -> Tensor:
    """x[index], with a gradient that is the same to the last bit on any number of threads, which x[index] has not."""
    rows: Tensor = torch.nn.functional.embedding(index, x)
    return rows


def check_batch_sizes(batch_sizes: Tensor) -> None:
    """Raises:
    ShapeError: those of a packed sequence do not fall.
    """
    wrong = (batch_sizes[1:] > batch_sizes[:-1]).nonzero()
    if wrong.numel():
        step = int(wrong[0]) + 1
        before, here = int(batch_sizes[step - 1]), int(batch_sizes[step])
        raise ShapeError(f"batch_sizes of a PackedSequence must fall, but batch_sizes[{step}] is {here} after {before}")


def check_lengths(lengths: Lengths, seq_len: int, batch: int, device: torch.device) -> Ragged | None:
    """`lengths` as a `Ragged`, or None where every sequence fills the input, so that nothing needs masking.

    Raises:
        ShapeError: not integers, not of shape (batch,), or one of them outside 1..seq_len (the first is named).
    """
    values = as_integers("lengths", lengths, torch.device("cpu"))
    if values.dtype.is_floating_point or values.dtype.is_complex or values.dtype == torch.bool:
        # An empty list has no dtype of its own, and is right for an empty batch.
        if values.numel() or batch:
            raise ShapeError(f"lengths must hold integers, but its dtype is {values.dtype}")
        values = values.long()
    if values.shape != (batch,):
        raise ShapeError(f"lengths must have shape (batch,) = {(batch,)}, as the input, but has {tuple(values.shape)}")
    values = values.long()
    wrong = ((values < 1) | (values > seq_len)).nonzero()
    if wrong.numel():
        first = int(wrong[0])
        raise ShapeError(
            f"lengths must be within 1..seq_len, but lengths[{first}] is {int(values[first])} and seq_len "
            f"is {seq_len}" + ("; leave empty sequences out of the batch" if values[first] < 1 else "")
        )
    if torch._C._get_tracing_state() is None and bool((values == seq_len).all()):  # a trace is for other lengths too
        return None
    return Ragged(values, seq_len, device)
