"""The gated recurrent unit, with the reset gate after or before the candidate's product."""

# torch's compiler cannot trace the annotations of inner functions, so they must not be evaluated.
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn.cells.cell import (
    Cell,
    Gates,
    Named,
    Zone,
    blend,
    dropping,
    keeping,
    normalise,
    projection,
    recurrence,
)
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions


def gru(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}, gates r and z, candidate n. Source: docs/derivations/gru.md."""
    return (_reset_after if options.reset_after else _reset_before)(options, parameters, recurrent)


def _reset_after(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    weight, gain, bias = (parameters.get(kind) for kind in ("weight_hh", "norm_hh", "bias_hh"))
    assert weight is not None
    size = weight.shape[1]
    blocks = (2 * size, size)
    drop, keep = dropping(recurrent), keeping(options.zoneout[0])
    candidate_bias = None if bias is None else bias[2 * size :]
    if gain is None:
        # One product for all gates; the candidate's bias stands inside of r ⊙ (…), the others' are in the projection.
        inside = None if candidate_bias is None else functional.pad(candidate_bias, (2 * size, 0))

        def recurrent_share(h: Tensor) -> tuple[Tensor, ...]:
            return torch.split_with_sizes(functional.linear(h, weight, inside), blocks, dim=-1)

    else:
        gates_gain, candidate_gain = torch.split_with_sizes(gain, blocks)

        def recurrent_share(h: Tensor) -> tuple[Tensor, ...]:
            gates, candidate = torch.split_with_sizes(functional.linear(h, weight), blocks, dim=-1)
            return normalise(gates, gates_gain), normalise(candidate, candidate_gain, candidate_bias)

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        a_gates, a_candidate = torch.split_with_sizes(a, blocks, dim=-1)
        gates, candidate = recurrent_share(drop(h))
        r, z = torch.sigmoid(a_gates + gates).chunk(2, dim=-1)
        n = torch.tanh(torch.addcmul(a_candidate, r, candidate))
        return (keep(zone[0], h, blend(n, h, z)),), {"r": r, "z": z, "n": n}

    return Cell(projection(parameters, blocks, slice(0, 2 * size)), step)


def _reset_before(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """GRU as in the published paper: the reset gate acts on h before the candidate's product.

    Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder–Decoder", with both biases kept.
    """
    weight, gain = parameters["weight_hh"], parameters.get("norm_hh")
    size = weight.shape[1]
    blocks = (2 * size, size)
    gains = (None, None) if gain is None else torch.split_with_sizes(gain, blocks)
    add_gates, add_candidate = (
        recurrence(w, g) for w, g in zip(torch.split_with_sizes(weight, blocks), gains, strict=True)
    )
    drop, keep = dropping(recurrent), keeping(options.zoneout[0])

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        a_gates, a_candidate = torch.split_with_sizes(a, blocks, dim=-1)
        entering = drop(h)
        r, z = torch.sigmoid(add_gates(a_gates, entering)).chunk(2, dim=-1)
        n = torch.tanh(add_candidate(a_candidate, r * entering))
        return (keep(zone[0], h, blend(n, h, z)),), {"r": r, "z": z, "n": n}

    return Cell(projection(parameters, blocks, slice(0, 3 * size)), step)
