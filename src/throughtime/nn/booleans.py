"""Random booleans, which masks are made of: one number from torch's generator, and all else follows from it.

A generator that goes from one number to the next takes a tenth of a layer's whole step for the masks of zoneout. This
way the core computes them on all threads, and torch's operations give the same bits where the core cannot be used.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from throughtime import kernels

_LEVELS: Final = 2**16
_PER_WORD: Final = 4
_STEP: Final = 0x9E3779B97F4A7C15 - 2**64
_ROUNDS: Final = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


def booleans(shape: Sequence[int], share: float, device: torch.device) -> Tensor:
    """Independent booleans, true with probability `share`, rounded to a multiple of 2^-16."""
    start = torch.randint(-(2**63), 2**63 - 1, (1,), dtype=torch.int64, device=device)
    # int16 goes from -2^15; a share just below 1 must not become the level that int16 lacks.
    level = min(round(share * _LEVELS), _LEVELS - 1) - _LEVELS // 2
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        drawn: Tensor = _operator(start, shape, level)
        return drawn
    if torch._C._functorch.peek_interpreter_stack() is not None or torch._C._get_tracing_state() is not None:
        return by_torch(start, shape, level)  # which know no operator of ours
    return _drawn(start, shape, level)


def by_torch(start: Tensor, shape: Sequence[int], level: int) -> Tensor:
    """On torch's operations: each true with probability (level + 2^15) / 2^16."""
    count = math.prod(shape)
    return (words(start, -(-count // _PER_WORD)).view(torch.int16)[:count] < level).view(*shape)


def words(start: Tensor, count: int) -> Tensor:
    """(count,) int64 of random bits: SplitMix64's output function of start, start + step, …

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. The core's booleans are made of the same
    (native/include/throughtime/booleans.h).

    Args:
        start: (1,) int64, itself random.
    """
    z: Tensor = torch.arange(count, dtype=torch.int64, device=start.device) * _STEP + start
    for shift, factor in _ROUNDS:
        z = (z ^ _shifted(z, shift)) * factor
    mixed: Tensor = z ^ _shifted(z, 31)
    return mixed


def _shifted(z: Tensor, bits: int) -> Tensor:
    """To the right, with zeros from the left: as unsigned numbers."""
    shifted: Tensor = (z >> bits) & (2 ** (64 - bits) - 1)
    return shifted


def _drawn(start: Tensor, shape: Sequence[int], level: int) -> Tensor:
    if not (kernels.available() and start.is_cpu):
        return by_torch(start, shape, level)
    drawn = torch.empty(tuple(shape), dtype=torch.uint8, device=start.device)
    kernels.draw_booleans(int(start), level, drawn)
    return drawn.view(torch.bool)


# What wraps in torch is undefined in C++: compiled by inductor, `by_torch` writes behind its end (torch 2.13, GCC 12).
@torch.library.custom_op("throughtime::booleans", mutates_args=())
def _operator(start: Tensor, shape: Sequence[int], level: int) -> Tensor:
    return _drawn(start, shape, level)


@_operator.register_fake
def _(start: Tensor, shape: Sequence[int], level: int) -> Tensor:
    return start.new_empty(shape, dtype=torch.bool)
