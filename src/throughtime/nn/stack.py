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
from throughtime.nn import native, plain
from throughtime.nn.lengths import Lengths, Unpadded, check_batch_sizes, check_lengths, rows_of_tokens
from throughtime.nn.plain import LayerWeights
from throughtime.nn.state import State, reorder, zero_state
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import OptionError

Backend: TypeAlias = Literal["auto", "native", "torch"]
BACKENDS: tuple[Backend, ...] = ("auto", "native", "torch")

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
) -> tuple[Tensor, list[State]]:
    """All layers over (seq_len, batch, input_size), from one state a layer (None: zeros) to one state a layer.

    What stands in the padding of the input is never looked at; the output is exactly 0 there.

    Raises:
        ShapeError: lengths do not fit.
        OptionError: `backend` is "native", and the core cannot run this.
    """
    seq_len, batch = x.shape[:2]
    if _native(backend, x, weights):
        # While compiling, values are unknown: the operator checks them when it runs.
        checked = torch.as_tensor(lengths) if lengths is not None else None
        if checked is not None and not torch.compiler.is_compiling():
            ragged = check_lengths(checked, seq_len, batch, x.device)
            checked = None if ragged is None else ragged.lengths
        return _run_native(options, weights, x, states, checked, dropout, training)
    ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, x.device)
    start = zero_state(options, batch, x) if states is None else states
    by_steps = native.transformed()
    return plain.run_stack(options, weights, x, start, ragged, dropout, training, by_steps=by_steps)


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
    if index is not None and (torch.compiler.is_compiling() or x.shape[0] >= _ROWS_WORTH * index.shape[0]):
        x, index = rows_of_tokens(x, index), None
    if _native(backend, x, weights):
        return _run_native(options, weights, x, states, lengths, dropout, training, index=index)
    x = x if index is None else rows_of_tokens(x, index)
    rows = Unpadded(lengths, False, x.device)
    output, after = run_stack("torch", options, weights, rows.pad(x), states, lengths, dropout, training)
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
    """`run_stack` over a packed sequence; states are in the order of the batch, not in that of the packed sequence."""
    data, batch_sizes, order, back = packed
    seq_len, batch = len(batch_sizes), int(batch_sizes[0])
    check_batch_sizes(batch_sizes)
    # In the order of the packed sequence, longest first: batch_sizes[t] sequences have a step t.
    lengths = (batch_sizes.unsqueeze(1) > torch.arange(batch)).sum(0)
    start_packed = None if states is None else reorder(states, order)
    if _native(backend, data, weights):
        output, after = _run_native(options, weights, data, start_packed, lengths, dropout, training, by_step=True)
        return PackedSequence(output, batch_sizes, order, back), reorder(after, back)
    ragged = check_lengths(lengths, seq_len, batch, data.device)
    if plain.runs_packed(options, ragged):
        start = zero_state(options, batch, data) if states is None else states
        return plain.run_packed(options, weights, packed, start, dropout, training)
    rows = Unpadded(lengths, True, data.device)
    output, after = run_stack("torch", options, weights, rows.pad(data), start_packed, lengths, dropout, training)
    return PackedSequence(rows.take(output), batch_sizes, order, back), reorder(after, back)


def _run_native(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    x: Tensor,
    states: Sequence[State] | None,
    lengths: Tensor | None,
    dropout: float,
    training: bool,
    *,
    by_step: bool = False,
    index: Tensor | None = None,
) -> tuple[Tensor, list[State]]:
    ends: list[State] = []
    for layer, layer_weights in enumerate(weights):
        if layer and dropout:
            x = functional.dropout(x, dropout, training)
        state = None if states is None else states[layer]
        x, end = native.run_layer(
            options, layer, [*chain.from_iterable(layer_weights)], x, state, lengths, by_step, index
        )
        index = None
        ends.append(end)
    return x, ends


def _native(backend: Backend, x: Tensor, weights: Sequence[LayerWeights]) -> bool:
    if backend == "torch":
        return False
    flat = list(chain.from_iterable(chain.from_iterable(weights)))
    reason = native.unfit(x, flat)
    if reason is None:
        return True
    if backend == "native":
        raise OptionError(f"backend='native' cannot run this: {reason}; use backend='auto'")
    if not kernels.available() and x.device.type == "cpu":
        _say_once(reason)
    return False


@lru_cache(maxsize=1)
def _say_once(reason: str) -> None:
    warnings.warn(f"{reason}; until then layers run on torch operations, more slowly", stacklevel=2)
