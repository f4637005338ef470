"""The time loop: every cell, one step after the other, on plain torch operations.

Being plain, it serves what fused kernels do not: cells that torch has none for, double backward, forward-mode
derivatives, vmap.
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

Step: TypeAlias = Callable[[Tensor, State], State]
"""(W_ih x_t + b_ih, the state before) → the state after; its first part is h_t."""

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
        state: (h,) or (h, c), each (1, batch, hidden_size), before the first step in the direction's own order.

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
    now: State = tuple(part[0] for part in state)
    outputs: list[Tensor] = [now[0]] * len(projected)
    for t in reversed(range(len(projected))) if reverse else range(len(projected)):
        new = step(projected[t], now)
        if padding is not None:
            new = tuple(torch.where(padding[t], old, part) for old, part in zip(now, new, strict=True))
        now = new
        outputs[t] = now[0]
    return torch.stack(outputs), tuple(part.unsqueeze(0) for part in now)


def _step(options: LayerOptions, weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    if options.cell == "LSTM":
        return _lstm(weight_hh, bias_hh)
    if options.cell == "GRU":
        return (_gru if options.reset_after else _gru_reset_before)(weight_hh, bias_hh)
    phi = _PHI[options.nonlinearity]
    return lambda a, state: (phi(a + functional.linear(state[0], weight_hh, bias_hh)),)


def _lstm(weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    def step(a: Tensor, state: State) -> State:
        h, c = state
        i, f, g, o = (a + functional.linear(h, weight_hh, bias_hh)).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c

    return step


def _gru(weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    size = weight_hh.shape[1]

    def step(a: Tensor, state: State) -> State:
        (h,) = state
        a_gates, a_candidate = torch.split(a, [2 * size, size], dim=-1)
        gates, candidate = torch.split(functional.linear(h, weight_hh, bias_hh), [2 * size, size], dim=-1)
        r, z = torch.sigmoid(a_gates + gates).chunk(2, dim=-1)
        n = torch.tanh(a_candidate + r * candidate)
        return (n + z * (h - n),)

    return step


def _gru_reset_before(weight_hh: Tensor, bias_hh: Tensor | None) -> Step:
    """GRU as first published: the reset gate acts on h before the candidate's product.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder–Decoder", with both biases kept.
    """
    size = weight_hh.shape[1]
    gates_hh, candidate_hh = torch.split(weight_hh, [2 * size, size])
    gates_b, candidate_b = (None, None) if bias_hh is None else torch.split(bias_hh, [2 * size, size])

    def step(a: Tensor, state: State) -> State:
        (h,) = state
        a_gates, a_candidate = torch.split(a, [2 * size, size], dim=-1)
        r, z = torch.sigmoid(a_gates + functional.linear(h, gates_hh, gates_b)).chunk(2, dim=-1)
        n = torch.tanh(a_candidate + functional.linear(r * h, candidate_hh, candidate_b))
        return (n + z * (h - n),)

    return step
