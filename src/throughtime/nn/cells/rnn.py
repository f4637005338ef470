"""The cells of one block: the Elman network, and IndRNN, whose units see only themselves."""

# torch's compiler cannot trace the annotations of inner functions, so they must not be evaluated.
from __future__ import annotations

import torch
from torch import Tensor

from throughtime.nn.cells.cell import PHI, Cell, Gates, Named, Zone, dropping, keeping, projection, recurrence
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions


def rnn(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh). Source: docs/derivations/rnn.md."""
    weight = parameters["weight_hh"]
    rows = weight.shape[0]
    add_recurrent = recurrence(weight, parameters.get("norm_hh"))
    phi, drop, keep = PHI[options.nonlinearity], dropping(recurrent), keeping(options.zoneout[0])

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        new = phi(add_recurrent(a, drop(h)))
        return (keep(zone[0], h, new),), {"h": new}

    return Cell(projection(parameters, (rows,), slice(0, rows)), step)


def ind_rnn(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """h_t = φ(W_ih x_t + b_ih + w_hh ⊙ h_{t-1}).

    Source: Li et al. 2018, "Independently Recurrent Neural Network (IndRNN)".
    """
    weight = parameters["weight_hh"]
    phi, keep = PHI[options.nonlinearity], keeping(options.zoneout[0])

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        new = phi(torch.addcmul(a, weight, h))
        return (keep(zone[0], h, new),), {"h": new}

    return Cell(projection(parameters, (len(weight),), None), step)
