"""Long short-term memory with its variants: peepholes, coupled gates, projection, layer normalisation, zoneout."""

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
from throughtime.spec.cells import LayerOptions, peephole_gates


def lstm(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t), gates i, f, o, candidate g. Source: docs/derivations/lstm.md."""
    weight = parameters["weight_hh"]
    rows, gates = weight.shape[0], options.gates
    add_recurrent = recurrence(weight, parameters.get("norm_hh"))
    drop = dropping(recurrent)
    keep_h, keep_c = keeping(options.zoneout[0]), keeping(options.zoneout[1])
    peepholes: dict[str, Tensor] = {}
    if options.peephole:
        names = peephole_gates(options)
        peepholes = dict(zip(names, parameters["weight_peephole"].chunk(len(names)), strict=True))
    weight_hr, gain_c, bias_c = (parameters.get(kind) for kind in ("weight_hr", "norm_c", "bias_c"))

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        h_before, c_before = state
        by_gate = dict(zip(gates, add_recurrent(a, drop(h_before)).chunk(len(gates), dim=-1), strict=True))
        if peepholes:
            for gate in gates:
                if gate in ("i", "f"):
                    by_gate[gate] = torch.addcmul(by_gate[gate], peepholes[gate], c_before)
        f, g = torch.sigmoid(by_gate["f"]), torch.tanh(by_gate["g"])
        found = {"f": f, "g": g}
        if "i" in by_gate:
            found["i"] = torch.sigmoid(by_gate["i"])
            c = torch.addcmul(f * c_before, found["i"], g)
        else:
            c = blend(g, c_before, f)  # i = 1 − f
        # The output gate and h see the new cell state, zoneout or not; the next step sees what zoneout leaves of it.
        a_o = torch.addcmul(by_gate["o"], peepholes["o"], c) if peepholes else by_gate["o"]
        o = found["o"] = torch.sigmoid(a_o)
        h = o * torch.tanh(c if gain_c is None else normalise(c, gain_c, bias_c))
        c = keep_c(zone[1], c_before, c)
        if weight_hr is not None:
            h = functional.linear(h, weight_hr)
        return (keep_h(zone[0], h_before, h), c), found

    return Cell(projection(parameters, (rows,), slice(0, rows)), step)
