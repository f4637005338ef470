"""Arrays for the core: from the start of a line on, and large ones that it keeps for the next call (memory.h)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.kernels import core

Bytes = NDArray[np.uint8]

_LINE: Final = 64
"""Bytes of a cache line."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of large arrays: those in use, those kept for later, and the most that were in use at the same time.

    Counted in whole pieces, which may be larger than what was asked for. most_used: the most of the inside of steps,
    and the most of results, which need not have been at the same time. mappings: pieces that came from the system so
    far.
    """

    used: int
    kept: int
    most_used: int
    mappings: int


def take_memory(size: int, *, result: bool = False) -> Bytes:
    """(size,) uninitialised bytes, where the core is there; freed, they are kept for another call.

    Counted in pieces, what is in use and what is kept are together never more than what once was in use at the same
    time and 32 MB, of results and of the rest.

    Args:
        result: for a caller, who may gather any number of them: of these never more than 256 MB are kept.

    Raises:
        MemoryError: the system has not that much.
        ShapeError: size is negative.
    """
    return _core().take_memory(size, result)  # type: ignore[no-any-return]


def new_array(shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Uninitialised, from the start of a cache line on, where NumPy's own begin anywhere.

    The core reads its weights and tables by vectors: each second one would lie across two lines, and only the first
    would be fetched ahead.
    """
    size = math.prod(shape) * dtype.itemsize
    spare = np.empty(size + _LINE, np.uint8)
    start = -spare.ctypes.data % _LINE
    return spare[start : start + size].view(dtype).reshape(shape)


def memory_use() -> MemoryUse:
    """How much that is now; zeros without the core."""
    return MemoryUse(*(_core().memory_use() if core.available() else (0, 0, 0, 0)))


def release_memory() -> None:
    """Gives what is kept to the system: after training, in a process that goes on. Nothing in use is touched."""
    if core.available():
        _core().release_memory()


def _core() -> Any:
    from throughtime.kernels import _core as module

    return module
