"""The time loop: cells for which torch has no fused kernel, one step after the other, on plain torch operations.

Being plain, it also serves double backward, forward-mode derivatives, vmap and every dtype and device.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions

Weights: TypeAlias = tuple[Tensor, ...]
"""Parameters of one direction of one layer: weight_ih, weight_hh, and with bias also bias_ih, bias_hh."""

Step: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(W_ih x_t + b_ih, h_{t-1}) → h_t."""

_PHI: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
}


def run_direction(
    options: LayerOptions, weights: Weights, x: Tensor, state: State, ragged: Ragged | None, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer over (seq_len, batch, features); padding steps leave the state as it is.

    Args:
        state: (h,), each (1, batch, hidden_size), before the first step in the direction's own order.

    Returns:
        The output (seq_len, batch, hidden_size), finite but meaningless in the padding, and the state after the last
        real step in the direction's own order.
    """
    weight_ih, weight_hh, *biases = weights
    bias_ih, bias_hh = biases if biases else (None, None)
    step = _step(options, weight_hh, bias_hh)
    # The input's share of every step in one product; only the recurrent share has to wait for the step before.
    projected = functional.linear(x, weight_ih, bias_ih).unbind(0)
    padding = None if ragged is None else ragged.padding.unbind(0)
    h = state[0][0]
    outputs: list[Tensor] = [h] * len(projected)
    for t in reversed(range(len(projected))) if reverse else range(len(projected)):
        new = step(projected[t], h)
        h = new if padding is None else torch.where(padding[t], h, new)
        outputs[t] = h
    return torch.stack(outputs), (h.unsqueeze(0),)


def _step(options: LayerOptions, weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    if options.cell == "RNN":
        phi = _PHI[options.nonlinearity]
        return lambda a, h: phi(a + functional.linear(h, weight_hh, bias_hh))
    if options.cell == "GRU" and not options.reset_after:
        return _gru_reset_before(weight_hh, bias_hh)
    raise NotImplementedError(f"{options.cell} runs on torch's fused kernel; the time loop has no step for it")


def _gru_reset_before(weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    """GRU as first published: the reset gate acts on h before the candidate's product.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder–Decoder", with both biases kept.
    """
    size = weight_hh.shape[1]
    gates_hh, candidate_hh = torch.split(weight_hh, [2 * size, size])
    gates_b, candidate_b = (None, None) if bias_hh is None else torch.split(bias_hh, [2 * size, size])

    def step(a: Tensor, h: Tensor) -> Tensor:
        a_gates, a_candidate = torch.split(a, [2 * size, size], dim=-1)
        r, z = torch.sigmoid(a_gates + functional.linear(h, gates_hh, gates_b)).chunk(2, dim=-1)
        n = torch.tanh(a_candidate + functional.linear(r * h, candidate_hh, candidate_b))
        return n + z * (h - n)

    return step
