"""A stack of layers: the one place that picks how it is computed, natively or on torch operations."""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from throughtime import kernels
from throughtime.nn import native, plain, recompute
from throughtime.nn.lengths import (
    Lengths,
    Unpadded,
    as_integers,
    check_batch_sizes,
    check_lengths,
    rows_of_tokens,
)
from throughtime.nn.one_layer import run_natively, run_plainly
from throughtime.nn.plain import LayerWeights
from throughtime.nn.prepared import Prepared, prepare
from throughtime.nn.state import State, reorder, zero_state
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import OptionError

Backend: TypeAlias = Literal["auto", "native", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "native", "torch")

Again: TypeAlias = bool | int
"""Whether a training pass recomputes through time (`recompute`); a number says the steps of a stretch."""

_ROWS_WORTH: Final = 0.8
"""Share of rows among tokens from which their products are not shared: sums over each row's tokens cost too."""


def run_stack(
    backend: Backend,
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Lengths | None,
    dropout: float,
    training: bool,
    again: Again = False,
) -> tuple[Tensor, list[State]]:
    """All layers over (seq_len, batch, input_size), from one state a layer (None: zeros) to one state a layer.

    What stands in the padding of the input is never looked at; the output is exactly 0 there.

    Args:
        again: recomputation through time, where there is something to go back through.

    Raises:
        ShapeError: lengths do not fit.
        OptionError: `backend` is "native", and the core cannot run this.
    """
    call = prepare(options, weights, x.shape[:-1], x.shape[1], x.device, dropout, training)
    on_core = runs_natively(backend, call.options, call.weights, x)
    if _recomputes(again, call, x, states):
        return _run_again(call, on_core, x, states, lengths, again)
    if on_core:
        # While compiling, values are unknown: the operator checks them when it runs.
        checked = None if lengths is None else as_integers("lengths", lengths)
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
    again: Again = False,
) -> tuple[Tensor, list[State]]:
    """`run_stack` over sequences without padding, (tokens, input_size), one after the other.

    Args:
        lengths: (batch,) int64 on the CPU, each at least 1, together the tokens.
        index: (tokens,) integers, rows of x: the input of each token; None where x has a row a token.
    """
    tokens = x.shape[0] if index is None else index.shape[0]
    call = prepare(options, weights, (tokens,), lengths.shape[0], x.device, dropout, training)
    if index is not None and (torch.compiler.is_compiling() or x.shape[0] >= _ROWS_WORTH * tokens):
        x, index = rows_of_tokens(x, index), None
    on_core, recomputes = runs_natively(backend, call.options, call.weights, x), _recomputes(again, call, x, states)
    if on_core and not recomputes:
        return _run_native(call, x, states, lengths, index=index)
    x = x if index is None else rows_of_tokens(x, index)
    rows = Unpadded(lengths, False, x.device)
    if recomputes:
        output, after = _run_again(call.padded(rows), on_core, rows.pad(x), states, lengths, again)
    else:
        output, after = _run_plain(call.padded(rows), rows.pad(x), states, lengths)
    return rows.take(output), after


def run_packed(
    backend: Backend,
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    packed: PackedSequence,
    states: Sequence[State] | None,
    dropout: float,
    training: bool,
    again: Again = False,
) -> tuple[PackedSequence, list[State]]:
    """`run_stack` over a packed sequence; states are in the order of the batch, not in that of the packed sequence.

    Masks are in the order of the packed sequence, as its data is.
    """
    data, batch_sizes, order, back = packed
    seq_len, batch = len(batch_sizes), int(batch_sizes[0])
    check_batch_sizes(batch_sizes)
    # In the order of the packed sequence, longest first: batch_sizes[t] sequences have a step t.
    lengths = (batch_sizes.unsqueeze(1) > torch.arange(batch, device="cpu")).sum(0)
    start_packed = None if states is None else reorder(states, order)
    call = prepare(options, weights, data.shape[:-1], batch, data.device, dropout, training)
    on_core, recomputes = (
        runs_natively(backend, call.options, call.weights, data),
        _recomputes(again, call, data, states),
    )
    if on_core and not recomputes:
        output, after = _run_native(call, data, start_packed, lengths, by_step=True)
        return PackedSequence(output, batch_sizes, order, back), reorder(after, back)
    ragged = check_lengths(lengths, seq_len, batch, data.device)
    if plain.runs_packed(call.options, ragged) and not recomputes:
        start = zero_state(options, batch, data) if states is None else states
        return plain.run_packed(call.options, call.weights, packed, start, dropout, training)
    rows = Unpadded(lengths, True, data.device)
    if recomputes:
        output, after = _run_again(call.padded(rows), on_core, rows.pad(data), start_packed, lengths, again)
    else:
        output, after = _run_plain(call.padded(rows), rows.pad(data), start_packed, lengths)
    return PackedSequence(rows.take(output), batch_sizes, order, back), reorder(after, back)


def _run_native(
    call: Prepared,
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Tensor | None,
    *,
    by_step: bool = False,
    index: Tensor | None = None,
) -> tuple[Tensor, list[State]]:
    x, states = native.uncast(x, states)
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
    call: Prepared, x: Tensor, states: Sequence[State] | None, lengths: Lengths | None
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
        by_steps=native.mapped(),
        masks=call.masks,
    )


def _recomputes(again: Again, call: Prepared, x: Tensor, states: Sequence[State] | None) -> bool:
    """Whether to recompute: if asked to, and there is a backward pass of the usual kind to come.

    torch.func, forward mode, tracing and the compiler get the ordinary way: same numbers, more memory.
    """
    if again is False or not torch.is_grad_enabled() or torch.compiler.is_compiling() or native.transformed():
        return False
    tensors = [x, *chain.from_iterable(chain.from_iterable(call.weights)), *chain.from_iterable(states or ())]
    return any(tensor.requires_grad for tensor in tensors)


def _run_again(
    call: Prepared, on_core: bool, x: Tensor, states: Sequence[State] | None, lengths: Lengths | None, again: Again
) -> tuple[Tensor, list[State]]:
    """Padded input through recomputation."""
    if on_core:
        x, states = native.uncast(x, states)
    seq_len, batch = x.shape[:2]
    ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, x.device)
    start = zero_state(call.options, batch, x) if states is None else states
    segment = None if isinstance(again, bool) else again
    return recompute.run_stack(run_natively if on_core else run_plainly, call, x, start, ragged, segment)


def runs_natively(backend: Backend, options: LayerOptions, weights: Sequence[LayerWeights], x: Tensor) -> bool:
    """Whether the core runs layers with these options, as they act, on this input.

    Raises:
        OptionError: `backend` is "native", and the core cannot run this.
    """
    if backend == "torch":
        return False
    reason = native.unfit(options, x, list(chain.from_iterable(chain.from_iterable(weights))))
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
