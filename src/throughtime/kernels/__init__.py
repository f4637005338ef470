"""The native core from Python: arrays in, arrays out, on whichever instruction set the machine has.

Nothing here knows torch; any array that speaks DLPack is taken (NumPy's, torch's). Contracts: native/include. Without
the compiled module `available()` is False, and the callers of this package work on torch or NumPy instead.
"""

from throughtime.kernels.booleans import draw_booleans
from throughtime.kernels.core import (
    BatchPlan,
    NativeLayer,
    NativeStream,
    available,
    by_kind,
    isa,
    lacks,
    layer,
    limit_threads,
    pooling,
    stream,
    threads,
    why_not,
)
from throughtime.kernels.memory import MemoryUse, memory_use, new_array, release_memory, take_memory

__all__ = [
    "BatchPlan",
    "MemoryUse",
    "NativeLayer",
    "NativeStream",
    "available",
    "by_kind",
    "draw_booleans",
    "isa",
    "lacks",
    "layer",
    "limit_threads",
    "memory_use",
    "new_array",
    "pooling",
    "release_memory",
    "stream",
    "take_memory",
    "threads",
    "why_not",
]
