"""Sequences of different lengths in one array. Derivation: docs/derivations/stacking-and-lengths.md."""

import numpy as np
from numpy.typing import ArrayLike

from throughtime.equations.arrays import Array, Indices
from throughtime.spec.errors import ShapeError


def checked_lengths(lengths: ArrayLike | None, seq_len: int, batch: int) -> Indices:
    """`lengths` as (batch,) int64; None means that every sequence has seq_len steps.

    Raises:
        ShapeError: not one integer a sequence, or one outside 1 … seq_len; names the sequence and both values.
    """
    if lengths is None:
        lengths = np.full(batch, seq_len, dtype=np.int64)
    given = np.asarray(lengths)
    if given.dtype.kind not in "iu":
        raise ShapeError(f"lengths must be integers, but have dtype {given.dtype}")
    if given.shape != (batch,):
        raise ShapeError(f"lengths must be (batch,) = {(batch,)}, but is {given.shape}")
    for sequence, length in enumerate(given.tolist()):
        if not 1 <= length <= seq_len:
            raise ShapeError(f"lengths must be from 1 to seq_len = {seq_len}, but lengths[{sequence}] is {length}")
    return given.astype(np.int64)


def live_rows(lengths: Indices, t: int) -> Indices:
    """Rows of the batch that have a step t: the others are padding there, and nothing is computed for them."""
    return np.flatnonzero(lengths > t)


def reversed_within(array: Array, lengths: Indices) -> Array:
    """(seq_len, batch, size) with each sequence's real steps in reverse order, zeros past them. Its own inverse."""
    result = np.zeros_like(array)
    for row, length in enumerate(lengths):
        result[:length, row] = array[:length, row][::-1]  # stacking-and-lengths.md (3)
    return result


def at_last_step(values: Array, lengths: Indices, seq_len: int) -> Array:
    """(batch, size) → (seq_len, batch, size): each row at its sequence's last real step, zeros elsewhere."""
    result = np.zeros((seq_len, *values.shape))
    for row, length in enumerate(lengths):
        result[length - 1, row] = values[row]  # stacking-and-lengths.md (6)
    return result
