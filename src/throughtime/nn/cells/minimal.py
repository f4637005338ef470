"""MinGRU and MinLSTM: gates that see the input alone, so that all of them are there before the first step.

Source: Feng et al. 2024, "Were RNNs All We Needed?".
"""

# torch's compiler cannot trace the annotations of inner functions, so they must not be evaluated.
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn.cells.cell import Cell, Gates, Named, Zone, blend, keeping, projection
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions


def min_gru(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """z = σ(W_z x + b_z), n = W_n x + b_n, h_t = (1 − z) ⊙ h_{t-1} + z ⊙ n."""
    size = parameters["weight_ih"].shape[0] // 2
    linear = projection(parameters, (2 * size,), None)
    keep = keeping(options.zoneout[0])

    def project(x: Tensor) -> Tensor:
        z, n = linear(x).chunk(2, dim=-1)
        return torch.cat([torch.sigmoid(z), n], dim=-1)

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        z, n = a.chunk(2, dim=-1)
        return (keep(zone[0], h, blend(h, n, z)),), {"z": z, "n": n}

    return Cell(project, step)


def min_lstm(options: LayerOptions, parameters: Named, recurrent: Tensor | None) -> Cell:
    """f' = f / (f + i), i' = i / (f + i) of f, i = σ(…), n linear; h_t = f' ⊙ h_{t-1} + i' ⊙ n."""
    size = parameters["weight_ih"].shape[0] // 3
    linear = projection(parameters, (3 * size,), None)
    keep = keeping(options.zoneout[0])

    def project(x: Tensor) -> Tensor:
        f, i, n = linear(x).chunk(3, dim=-1)
        # f' = σ(ln f − ln i) and i' = σ(ln i − ln f), which stay right where both sigmoids underflow.
        odds = functional.logsigmoid(f) - functional.logsigmoid(i)
        return torch.cat([torch.sigmoid(odds), torch.sigmoid(-odds), n], dim=-1)

    def step(a: Tensor, state: State, zone: Zone) -> tuple[State, Gates]:
        (h,) = state
        f, i, n = a.chunk(3, dim=-1)
        return (keep(zone[0], h, torch.addcmul(f * h, i, n)),), {"f": f, "i": i, "n": n}

    return Cell(project, step)
