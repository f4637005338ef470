"""A stack of layers: the one place that picks how it is computed, natively or on torch operations."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from throughtime import kernels
from throughtime.nn import native, plain
from throughtime.nn.acting import acting
from throughtime.nn.lengths import Lengths, Unpadded, check_batch_sizes, check_lengths, rows_of_tokens
from throughtime.nn.masks import LayerMasks, apply_to_weights, draw, padded
from throughtime.nn.plain import LayerWeights
from throughtime.nn.state import State, reorder, zero_state
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import OptionError

Backend: TypeAlias = Literal["auto", "native", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "native", "torch")

_ROWS_WORTH: Final = 0.8
"""Share of rows among tokens from which their products are not shared: sums over each row's tokens cost too."""


@dataclass(frozen=True)
class _Call:
    """What one call computes with.

    options: as they act in it (`acting`). weights: with their masks applied. masks: of each layer, in the layout of the
    input, or None where no zoneout and no recurrent dropout draws.
    """

    options: LayerOptions
    weights: Sequence[LayerWeights]
    masks: Sequence[LayerMasks] | None
    dropout: float
    training: bool


def _call(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    steps: Sequence[int],
    batch: int,
    device: torch.device,
    dropout: float,
    training: bool,
) -> _Call:
    """Draws the masks; see `masks.draw`."""
    acts = acting(options, training)
    drawn = draw(options, steps, batch, weights[0][0][0].dtype, device) if training else None
    if drawn is not None:
        weights = apply_to_weights(options, weights, drawn) if options.weight_dropout else weights
        drawn = drawn if any(acts.zoneout) or acts.recurrent_dropout else None
    return _Call(acts, weights, drawn, dropout, training)


def run_stack(
    backend: Backend,
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Lengths | None,
    dropout: float,
    training: bool,
) -> tuple[Tensor, list[State]]:
    """All layers over (seq_len, batch, input_size), from one state a layer (None: zeros) to one state a layer.

    What stands in the padding of the input is never looked at; the output is exactly 0 there.

    Raises:
        ShapeError: lengths do not fit.
        OptionError: `backend` is "native", and the core cannot run this.
    """
    call = _call(options, weights, x.shape[:-1], x.shape[1], x.device, dropout, training)
    if _native(backend, call, x):
        # While compiling, values are unknown: the operator checks them when it runs.
        checked = torch.as_tensor(lengths) if lengths is not None else None
        if checked is not None and not torch.compiler.is_compiling():
            ragged = check_lengths(checked, x.shape[0], x.shape[1], x.device)
            checked = None if ragged is None else ragged.lengths
        return _run_native(call, x, states, checked)
    return _run_plain(call, x, states, lengths)


def run_end_to_end(
    backend: Backend,
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Tensor,
    index: Tensor | None,
    dropout: float,
    training: bool,
) -> tuple[Tensor, list[State]]:
    """`run_stack` over sequences without padding, (tokens, input_size), one after the other.

    Args:
        lengths: (batch,) int64 on the CPU, each at least 1, together the tokens.
        index: (tokens,) integers, rows of x: the input of each token; None where x has a row a token.
    """
    tokens = x.shape[0] if index is None else index.shape[0]
    call = _call(options, weights, (tokens,), lengths.shape[0], x.device, dropout, training)
    if index is not None and (torch.compiler.is_compiling() or x.shape[0] >= _ROWS_WORTH * tokens):
        x, index = rows_of_tokens(x, index), None
    if _native(backend, call, x):
        return _run_native(call, x, states, lengths, index=index)
    x = x if index is None else rows_of_tokens(x, index)
    rows = Unpadded(lengths, False, x.device)
    output, after = _run_plain(_padded(call, rows), rows.pad(x), states, lengths)
    return rows.take(output), after


def run_packed(
    backend: Backend,
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    packed: PackedSequence,
    states: Sequence[State] | None,
    dropout: float,
    training: bool,
) -> tuple[PackedSequence, list[State]]:
    """`run_stack` over a packed sequence; states are in the order of the batch, not in that of the packed sequence.

    Masks are in the order of the packed sequence, as its data is.
    """
    data, batch_sizes, order, back = packed
    seq_len, batch = len(batch_sizes), int(batch_sizes[0])
    check_batch_sizes(batch_sizes)
    # In the order of the packed sequence, longest first: batch_sizes[t] sequences have a step t.
    lengths = (batch_sizes.unsqueeze(1) > torch.arange(batch)).sum(0)
    start_packed = None if states is None else reorder(states, order)
    call = _call(options, weights, data.shape[:-1], batch, data.device, dropout, training)
    if _native(backend, call, data):
        output, after = _run_native(call, data, start_packed, lengths, by_step=True)
        return PackedSequence(output, batch_sizes, order, back), reorder(after, back)
    ragged = check_lengths(lengths, seq_len, batch, data.device)
    if plain.runs_packed(call.options, ragged):
        start = zero_state(options, batch, data) if states is None else states
        return plain.run_packed(call.options, call.weights, packed, start, dropout, training)
    rows = Unpadded(lengths, True, data.device)
    output, after = _run_plain(_padded(call, rows), rows.pad(data), start_packed, lengths)
    return PackedSequence(rows.take(output), batch_sizes, order, back), reorder(after, back)


def _run_native(
    call: _Call,
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Tensor | None,
    *,
    by_step: bool = False,
    index: Tensor | None = None,
) -> tuple[Tensor, list[State]]:
    ends: list[State] = []
    for layer, layer_weights in enumerate(call.weights):
        if layer and call.dropout:
            x = functional.dropout(x, call.dropout, call.training)
        state = None if states is None else states[layer]
        masks = None if call.masks is None else call.masks[layer]
        flat = [*chain.from_iterable(layer_weights)]
        x, end = native.run_layer(call.options, layer, flat, x, state, lengths, by_step, index, masks=masks)
        index = None
        ends.append(end)
    return x, ends


def _run_plain(
    call: _Call, x: Tensor, states: Sequence[State] | None, lengths: Lengths | None
) -> tuple[Tensor, list[State]]:
    seq_len, batch = x.shape[:2]
    ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, x.device)
    start = zero_state(call.options, batch, x) if states is None else states
    return plain.run_stack(
        call.options,
        call.weights,
        x,
        start,
        ragged,
        call.dropout,
        call.training,
        by_steps=native.transformed(),
        masks=call.masks,
    )


def _padded(call: _Call, rows: Unpadded) -> _Call:
    """The call with masks laid out as the padded input."""
    return call if call.masks is None else replace(call, masks=[padded(layer, rows.pad) for layer in call.masks])


def _native(backend: Backend, call: _Call, x: Tensor) -> bool:
    if backend == "torch":
        return False
    flat = list(chain.from_iterable(chain.from_iterable(call.weights)))
    reason = native.unfit(call.options, x, flat)
    if reason is None:
        return True
    if backend == "native":
        raise OptionError(f"backend='native' cannot run this: {reason}; use backend='auto'")
    if not kernels.available() and x.device.type == "cpu":
        _say_once(kernels.why_not() or reason)
    return False


@lru_cache(maxsize=1)
def _say_once(reason: str) -> None:
    warnings.warn(f"{reason}; until then layers run on torch operations, more slowly", stacklevel=2)
