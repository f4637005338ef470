"""Random booleans from one drawn number, which masks are made of (native/include/throughtime/booleans.h)."""

from typing import Any

from throughtime.kernels import core


def draw_booleans(start: int, level: int, out: Any) -> None:
    """Fills `out` with 0 and 1, which follow from `start` alone, where the core is there.

    Args:
        start: random, -2^63 .. 2^63 - 1.
        level: 1 has the probability (level + 2^15) / 2^16.
        out: uint8 of any shape, contiguous, on the CPU.

    Raises:
        OptionError: level is not in -2^15 .. 2^15 - 1.
        TypeError: out is no such array.
    """
    from throughtime.kernels import _core

    _core.draw_booleans(start % 2**64, level, out, core.threads())
