"""One layer alone, on either backend, with one signature: for what goes through a stack in its own way."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeAlias

from torch import Tensor

from throughtime.nn import native, plain
from throughtime.nn.cells import Weights
from throughtime.nn.lengths import check_lengths
from throughtime.nn.masks import LayerMasks
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions

RunLayer: TypeAlias = Callable[
    [LayerOptions, Sequence[Weights], Tensor, State, Tensor | None, LayerMasks | None, bool], tuple[Tensor, State]
]
"""(options of the layer alone, weights of each direction, padded input, state, lengths on the CPU or None, masks of
each direction, whether the result must be differentiable in every way) → output and state after."""


def run_natively(
    options: LayerOptions,
    weights: Sequence[Weights],
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    masks: LayerMasks | None,
    differentiable: bool,
) -> tuple[Tensor, State]:
    if differentiable:
        return run_plainly(options, weights, x, state, lengths, masks, differentiable)
    return native.run_layer(options, 0, [*chain.from_iterable(weights)], x, state, lengths, masks=masks)


def run_plainly(
    options: LayerOptions,
    weights: Sequence[Weights],
    x: Tensor,
    state: State,
    lengths: Tensor | None,
    masks: LayerMasks | None,
    differentiable: bool,
) -> tuple[Tensor, State]:
    ragged = None if lengths is None else check_lengths(lengths, x.shape[0], x.shape[1], x.device)
    given = None if masks is None else [masks]
    y, [after] = plain.run_stack(
        options, [weights], x, [state], ragged, 0.0, training=False, by_steps=differentiable, masks=given
    )
    return y, after
