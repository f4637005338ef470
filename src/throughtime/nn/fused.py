"""torch's own fused kernels, and how they are made exact for ragged lengths.

Whole layers run on `torch.lstm`, `gru`, `rnn_tanh` and `rnn_relu` as `torch.nn` runs them. Ragged lengths: two ways.

*Packed*: the kernels take packed sequences. On GPUs (cuDNN) that is their fast way. On CPUs it does work for real steps
only, but torch leaves oneDNN's LSTM for it, and each step's backward touches the gradient of the whole sequence.
Measured with torch 2.13, float32, one core, batch 32, 128 → 128, forward + backward in ms, packed against held: lengths
256 … 42 (58 % real steps): LSTM 493 / 143, GRU 617 / 198, RNN 162 / 68; lengths 256 … 240: LSTM 1302 / 205; one
sequence of 1000 and 31 of 30 (6 %): LSTM 863 / 988, GRU 663 / 889. Forward without gradients, 58 %: LSTM 43 / 46, GRU
45 / 64; 6 %: LSTM 61 / 272. Hence the two shares in `prefers_packing`.

*Held*: the padded kernels, kept exact. A step in the padding comes after the last real one (the reverse direction runs
on sequences flipped within their lengths), so outputs up to there are right already; h_n is read from the output at the
last real step, and the output past it is cleared, so its gradient is exactly zero. What remains is the cell state c_n
of the LSTM, and relu's h, which might overflow in the padding and make 0 · inf out of the zero gradient. Both are held
by one extra input feature, 1 on padding steps and 0 on real ones: with a large weight its product saturates the LSTM's
gates to exactly f = 1, i = 0, hence c_t = c_{t-1} (and ∂c_t/∂c_{t-1} = 1, and no gradient to the gates, whose σ' is
exactly 0), and sets relu's h to 0. On real steps it adds an exact 0. tanh and GRU need nothing: their h is bounded.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from throughtime.nn.autocast import autocast_dtype
from throughtime.nn.cells import Weights
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.cells import CLASSIC, LayerOptions, gate_rows

# Saturates any sigmoid, dwarfs what the other terms can be, and times a gradient stays far from overflow in float32.
_HOLD = 1e18

# Share of real steps among all of the padded input below which packed sequences are at least as fast on a CPU.
_PACKED_BELOW_IN_TRAINING = 1 / 16
_PACKED_BELOW = 1 / 2


def has_kernel(options: LayerOptions) -> bool:
    """Whether torch has a fused kernel for this cell with these options, as they act."""
    return (
        options.cell in CLASSIC
        and options.nonlinearity in ("tanh", "relu")
        and options.reset_after
        and not (options.layer_norm or any(options.zoneout) or options.recurrent_dropout)
        and not (options.peephole or options.coupled_gates)
    )


def runs_padded(options: LayerOptions, x: Tensor) -> bool:
    """Whether that kernel takes padded sequences, too: torch 2.13's LSTM fails under autocast on some CPUs."""
    # Without AVX-512 oneDNN has none in bfloat16, which torch asks for all the same.
    cast_to = autocast_dtype(x.device) if options.cell == "LSTM" and x.device.type == "cpu" else None
    return has_kernel(options) and (cast_to is None or _onednn_has(cast_to))


@lru_cache(maxsize=2)
def _onednn_has(dtype: torch.dtype) -> bool:
    mkldnn = torch.ops.mkldnn
    known = mkldnn._is_mkldnn_bf16_supported if dtype == torch.bfloat16 else mkldnn._is_mkldnn_fp16_supported
    return bool(known())


def prefers_packing(ragged: Ragged) -> bool:
    """Whether these lengths had better go through packed sequences; the reasons are at the top of this file."""
    worthwhile = _PACKED_BELOW_IN_TRAINING if torch.is_grad_enabled() else _PACKED_BELOW
    return ragged.device.type != "cpu" or ragged.real_share < worthwhile


def _run_kernel(options: LayerOptions, *given: Any) -> Any:
    name = f"rnn_{options.nonlinearity}" if options.cell == "RNN" else options.cell.lower()
    if options.cell == "LSTM" and torch.compiler.is_compiling() and _is_trained(given):
        return _lstm_outside_of_graphs(*given)
    return getattr(torch, name)(*given)


def _is_trained(given: Sequence[Any]) -> bool:
    if not torch.is_grad_enabled() or torch.compiler.is_exporting():
        return False
    parts = [part for entry in given for part in (entry if isinstance(entry, (list, tuple)) else [entry])]
    return any(isinstance(part, Tensor) and part.requires_grad for part in parts)


# torch's compiler cannot differentiate oneDNN's LSTM (torch 2.13), and leaves torch.nn.LSTM out of its graphs.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def _lstm_outside_of_graphs(*given: Any) -> Any:
    return torch.lstm(*given)


def run_layers(
    options: LayerOptions,
    weights: Sequence[Tensor],
    num_layers: int,
    x: Tensor,
    batch_sizes: Tensor | None,
    state: State,
    dropout: float,
    training: bool,
) -> tuple[Tensor, State]:
    """`num_layers` layers of one size, both directions, in one call.

    Args:
        weights: of all directions of all layers, in torch's order.
        x: (seq_len, batch, features); or, with `batch_sizes` (seq_len,), the data of a packed sequence.
        state: each (num_layers * num_directions, batch, features), in the order of the packed sequence.
        dropout: share of outputs that become zero between these layers while training.

    Returns:
        The output, as `x` with num_directions times the features of h, and the state at the end.
    """
    hx = state if options.cell == "LSTM" else state[0]
    settings = (list(weights), options.bias, num_layers, dropout, training, options.bidirectional)
    given = (x, hx, *settings, False) if batch_sizes is None else (x, batch_sizes, hx, *settings)
    output, *after = _run_kernel(options, *given)
    return output, tuple(after)


def run_held_direction(
    options: LayerOptions, weights: Weights, x: Tensor, state: State, ragged: Ragged | None, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer over ragged sequences on the padded kernel, exact by the hold explained above.

    Args:
        x: (seq_len, batch, features), finite in the padding.
        state: each (1, batch, features).

    Returns:
        The output (seq_len, batch, features of h), finite but meaningless in the padding, and the state at each
        sequence's last real step in the direction's own order.
    """
    assert ragged is not None
    weight_ih, *others = weights
    column = _hold_column(options, weight_ih)
    if column is not None:
        x = torch.cat([x, ragged.padding.to(x.dtype)], dim=2)
        weight_ih = torch.cat([weight_ih, column], dim=1)
    if reverse:
        x = ragged.flip(x)
    hx = state if options.cell == "LSTM" else state[0]
    output, _, *c_n = _run_kernel(options, x, hx, [weight_ih, *others], options.bias, 1, 0.0, False, False, False)
    h_n = ragged.last(output)
    return ragged.flip(output) if reverse else output, (h_n, *c_n)


def _hold_column(options: LayerOptions, weight_ih: Tensor) -> Tensor | None:
    """Weights (gates * hidden_size, 1) of the feature that marks padding steps; None for cells that need none."""
    large = min(_HOLD, torch.finfo(weight_ih.dtype).max / 8)
    column = weight_ih.new_zeros(weight_ih.shape[0], 1)
    if options.cell == "LSTM":
        size = weight_ih.shape[0] // 4
        column[gate_rows(options.gates, "i", size)] = -large
        column[gate_rows(options.gates, "f", size)] = large
        return column
    if options.nonlinearity == "relu":
        return column - large
    return None
