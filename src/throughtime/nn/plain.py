"""A stack of layers on torch operations, for every device, dtype and derivative; padding is cleared on both sides."""

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from throughtime.nn import fused, loop
from throughtime.nn.cells import Weights
from throughtime.nn.lengths import Ragged
from throughtime.nn.masks import LayerMasks
from throughtime.nn.state import State, equal_sizes, join, reorder
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
    *,
    by_steps: bool,
    masks: Sequence[LayerMasks] | None = None,
) -> tuple[Tensor, list[State]]:
    """All layers over (seq_len, batch, input_size), from one state a layer to one state a layer.

    What stands in the padding of the input is never looked at; the output is exactly 0 there.

    Args:
        options: as they act (`acting`), so that a kernel is right if it is right for them.
        by_steps: the time loop, whatever torch has fused: its operations have all derivatives.
        masks: of each layer, for zoneout and recurrent dropout; those of zoneout (seq_len, batch, features).
    """
    if not by_steps and runs_packed(options, ragged):
        assert ragged is not None
        packed = pack_padded_sequence(x, ragged.lengths, enforce_sorted=False)
        packed, after = run_packed(options, weights, packed, states, dropout, training)
        output, _ = pad_packed_sequence(packed, total_length=ragged.seq_len)
        return output, after
    if not by_steps and ragged is None and fused.runs_padded(options, x):
        return _run_kernels(options, weights, x, None, states, dropout, training)

    output = x if ragged is None else ragged.clear(x)
    ends: list[State] = []
    for layer, (layer_weights, state) in enumerate(zip(weights, states, strict=True)):
        if layer and dropout:
            output = functional.dropout(output, dropout, training)
        layer_masks = None if masks is None else masks[layer]
        output, end = _run_directions(options, layer_weights, output, state, ragged, by_steps, layer_masks)
        ends.append(end)
    return output if ragged is None else ragged.clear(output), ends


def runs_packed(options: LayerOptions, ragged: Ragged | None) -> bool:
    """Whether these lengths go through packed sequences, so that one who has a packed sequence need not pad it."""
    return ragged is not None and fused.has_kernel(options) and fused.prefers_packing(ragged)


def run_packed(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    packed: PackedSequence,
    states: Sequence[State],
    dropout: float,
    training: bool,
) -> tuple[PackedSequence, list[State]]:
    """`run_stack` over a packed sequence; states are in the order of the batch, not in that of the packed sequence."""
    data, batch_sizes, order, back = packed
    data, after = _run_kernels(options, weights, data, batch_sizes, reorder(states, order), dropout, training)
    return PackedSequence(data, batch_sizes, order, back), reorder(after, back)


def _run_kernels(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    batch_sizes: Tensor | None,
    states: Sequence[State],
    dropout: float,
    training: bool,
) -> tuple[Tensor, list[State]]:
    """The stack on torch's fused kernels, over padded sequences of equal lengths or the data of a packed one."""
    ends: list[State] = []
    for layers in _groups(options):
        if layers.start and dropout:
            x = functional.dropout(x, dropout, training)
        flat = list(chain.from_iterable(chain.from_iterable(weights[layers])))
        state = tuple(join(part) for part in zip(*states[layers], strict=True))
        count = layers.stop - layers.start
        x, after = fused.run_layers(options, flat, count, x, batch_sizes, state, dropout, training)
        ends.extend(zip(*(torch.split(part, options.num_directions) for part in after), strict=True))
    return x, ends


def _groups(options: LayerOptions) -> Iterator[slice]:
    """Layers that one call of a kernel can run."""
    if equal_sizes(options):
        # The whole stack: what torch.nn does, to the last bit and random number, and what cuDNN does best.
        yield slice(0, options.num_layers)
    else:
        yield from (slice(layer, layer + 1) for layer in range(options.num_layers))


def _run_directions(
    options: LayerOptions,
    weights: LayerWeights,
    x: Tensor,
    state: State,
    ragged: Ragged | None,
    by_steps: bool,
    masks: LayerMasks | None,
) -> tuple[Tensor, State]:
    ends: list[State] = []
    outputs: list[Tensor] = []
    for direction, direction_weights in enumerate(weights):
        start = tuple(part[direction : direction + 1] for part in state)
        reverse = direction == 1
        if by_steps or ragged is None or not fused.runs_padded(options, x):
            own_masks = None if masks is None else masks[direction]
            output, end = loop.run_direction(options, direction_weights, x, start, ragged, reverse, own_masks)
        else:
            output, end = fused.run_held_direction(options, direction_weights, x, start, ragged, reverse)
        outputs.append(output)
        ends.append(end)
    joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return joined, tuple(join(part) for part in zip(*ends, strict=True))
