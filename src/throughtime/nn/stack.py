"""A stack of layers: which way each runs, dropout between them, padding cleared before and after."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn import fused, loop
from throughtime.nn.lengths import Ragged
from throughtime.nn.loop import Weights
from throughtime.nn.state import State, equal_sizes, join
from throughtime.spec.cells import LayerOptions

LayerWeights = Sequence[Weights]
"""The parameters of one layer, one entry a direction."""


def run_stack(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    states: Sequence[State],
    ragged: Ragged | None,
    dropout: float,
    training: bool,
) -> tuple[Tensor, list[State]]:
    """All layers over (seq_len, batch, input_size), from one state a layer to one state a layer.

    What stands in the padding of the input is never looked at; the output is exactly 0 there.
    """
    whole = fused.has_kernel(options) and (ragged is None or fused.prefers_packing(x.device))
    if whole and equal_sizes(options):
        # One call for the stack: what torch.nn does, to the last bit and random number, and what cuDNN does best.
        state = tuple(join(part) for part in zip(*states, strict=True))
        flat = list(chain.from_iterable(chain.from_iterable(weights)))
        output, after = fused.run_layers(options, flat, options.num_layers, x, state, ragged, dropout, training)
        split = [torch.split(part, options.num_directions) for part in after]
        return output, list(zip(*split, strict=True))

    output = x if ragged is None else ragged.clear(x)
    after_layers: list[State] = []
    for layer, (layer_weights, layer_state) in enumerate(zip(weights, states, strict=True)):
        if layer and dropout:
            output = functional.dropout(output, dropout, training)
        if whole:
            flat = list(chain.from_iterable(layer_weights))
            output, after = fused.run_layers(options, flat, 1, output, layer_state, ragged, 0.0, training)
        else:
            output, after = _run_directions(options, layer_weights, output, layer_state, ragged)
        after_layers.append(after)
    return output if ragged is None else ragged.clear(output), after_layers


def _run_directions(
    options: LayerOptions, weights: LayerWeights, x: Tensor, state: State, ragged: Ragged | None
) -> tuple[Tensor, State]:
    ends: list[State] = []
    outputs: list[Tensor] = []
    for direction, direction_weights in enumerate(weights):
        start = tuple(part[direction : direction + 1] for part in state)
        output, end = _run_direction(options, direction_weights, x, start, ragged, reverse=direction == 1)
        outputs.append(output)
        ends.append(end)
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return joined, tuple(join(part) for part in zip(*ends, strict=True))


def _run_direction(
    options: LayerOptions, weights: Weights, x: Tensor, state: State, ragged: Ragged | None, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer: the one place that picks how it is computed."""
    if fused.has_kernel(options) and ragged is not None:
        return fused.run_held_direction(options, weights, x, state, ragged, reverse)
    return loop.run_direction(options, weights, x, state, ragged, reverse)
