"""torch's own fused kernels, and how they are made exact for ragged lengths.

Whole layers run on `torch.lstm`, `gru`, `rnn_tanh` and `rnn_relu` as `torch.nn` runs them. Ragged lengths: two ways.

*Packed*: the kernels take packed sequences. On GPUs (cuDNN) that is their fast way. On CPUs it is exact but slow: torch
leaves oneDNN's LSTM, and each step's backward touches the gradient of the whole sequence. Measured with torch 2.13,
float32, one core, (seq_len 256, batch 32, 128 → 128), lengths 256 … 42, forward + backward in ms, packed against held:
LSTM 616 / 147, GRU 286 / 133, RNN 101 / 50; two cores and float64 alike.

*Held*: the padded kernels, kept exact. A step in the padding comes after the last real one (the reverse direction runs
on sequences flipped within their lengths), so outputs up to there are right already; h_n is read from the output at the
last real step, and the output past it is cleared, so its gradient is exactly zero. What remains is the cell state c_n
of the LSTM, and relu's h, which might overflow in the padding and make 0 · inf out of the zero gradient. Both are held
by one extra input feature, 1 on padding steps and 0 on real ones: with a large weight its product saturates the LSTM's
gates to exactly f = 1, i = 0, hence c_t = c_{t-1} (and ∂c_t/∂c_{t-1} = 1, and no gradient to the gates, whose σ' is
exactly 0), and sets relu's h to 0. On real steps it adds an exact 0. tanh and GRU need nothing: their h is bounded.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from throughtime.nn.lengths import Ragged
from throughtime.nn.loop import Weights
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions, gate_rows

# Saturates any sigmoid, dwarfs what the other terms can be, and times a gradient stays far from overflow in float32.
_HOLD = 1e18


def has_kernel(options: LayerOptions) -> bool:
    """Whether torch has a fused kernel for this cell with these options."""
    return options.nonlinearity in ("tanh", "relu") and options.reset_after


def prefers_packing(device: torch.device) -> bool:
    """Whether ragged lengths go through packed sequences on this device; the reasons are at the top of this file."""
    return device.type != "cpu"


def _kernel(options: LayerOptions) -> Any:
    name = f"rnn_{options.nonlinearity}" if options.cell == "RNN" else options.cell.lower()
    return getattr(torch, name)


def run_layers(
    options: LayerOptions,
    weights: Sequence[Tensor],
    num_layers: int,
    x: Tensor,
    state: State,
    ragged: Ragged | None,
    dropout: float,
    training: bool,
) -> tuple[Tensor, State]:
    """`num_layers` layers of one size, both directions, in one call.

    Args:
        weights: of all directions of all layers, in torch's order.
        state: each (num_layers * num_directions, batch, hidden_size).
        dropout: share of outputs that become zero between these layers while training.

    Returns:
        The output (seq_len, batch, num_directions * hidden_size), exactly 0 in the padding, and the state at the end.
    """
    hx = state if options.cell == "LSTM" else state[0]
    settings = (list(weights), options.bias, num_layers, dropout, training, options.bidirectional)
    if ragged is None:
        output, *after = _kernel(options)(x, hx, *settings, False)
        return output, tuple(after)
    packed = pack_padded_sequence(x, ragged.lengths, enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None and back is not None  # enforce_sorted=False always gives both
    parts = tuple(part.index_select(1, order) for part in state)
    data, *after = _kernel(options)(
        packed.data, packed.batch_sizes, parts if options.cell == "LSTM" else parts[0], *settings
    )
    output, _ = pad_packed_sequence(PackedSequence(data, packed.batch_sizes, order, back), total_length=ragged.seq_len)
    return output, tuple(part.index_select(1, back) for part in after)


def run_held_direction(
    options: LayerOptions, weights: Weights, x: Tensor, state: State, ragged: Ragged, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer over ragged sequences on the padded kernel, exact by the hold explained above.

    Args:
        x: (seq_len, batch, features), finite in the padding.
        state: each (1, batch, hidden_size).

    Returns:
        The output (seq_len, batch, hidden_size), finite but meaningless in the padding, and the state at each
        sequence's last real step in the direction's own order.
    """
    weight_ih, *others = weights
    column = _hold_column(options, weight_ih)
    if column is not None:
        x = torch.cat([x, ragged.padding.to(x.dtype)], dim=2)
        weight_ih = torch.cat([weight_ih, column], dim=1)
    if reverse:
        x = ragged.flip(x)
    hx = state if options.cell == "LSTM" else state[0]
    output, _, *c_n = _kernel(options)(x, hx, [weight_ih, *others], options.bias, 1, 0.0, False, False, False)
    h_n = ragged.last(output)
    return ragged.flip(output) if reverse else output, (h_n, *c_n)


def _hold_column(options: LayerOptions, weight_ih: Tensor) -> Tensor | None:
    """Weights (gates * hidden_size, 1) of the feature that marks padding steps; None for cells that need none."""
    large = min(_HOLD, torch.finfo(weight_ih.dtype).max / 8)
    column = weight_ih.new_zeros(weight_ih.shape[0], 1)
    if options.cell == "LSTM":
        size = weight_ih.shape[0] // 4
        column[gate_rows("LSTM", "i", size)] = -large
        column[gate_rows("LSTM", "f", size)] = large
        return column
    if options.nonlinearity == "relu":
        return column - large
    return None
