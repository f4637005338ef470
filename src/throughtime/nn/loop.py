"""The time loop: every cell, one step after the other, on plain torch operations.

Being plain, it serves what fused kernels do not: cells that torch has none for, double backward, forward-mode
derivatives, vmap.
"""

from itertools import repeat

import torch
from torch import Tensor

from throughtime.nn.cells import Weights, direction_cell
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions
from throughtime.spec.masks import Masks


def run_direction(
    options: LayerOptions,
    weights: Weights,
    x: Tensor,
    state: State,
    ragged: Ragged | None,
    reverse: bool,
    masks: Masks[Tensor] | None = None,
) -> tuple[Tensor, State]:
    """One direction of one layer over (seq_len, batch, features); padding steps leave the state as it is.

    Args:
        weights: weight_hh with its mask applied.
        state: (h,) or (h, c), each (1, batch, features), before the first step in the direction's own order.
        masks: zoneout of each step, (seq_len, batch, features), and the recurrent dropout of the call.

    Returns:
        The output (seq_len, batch, features of h), finite but meaningless in the padding, and the state after the last
        real step in the direction's own order.
    """
    masks = masks or Masks()
    cell = direction_cell(options, weights, masks.recurrent)
    # The input's share of every step at once; only the recurrent share has to wait for the step before.
    projected = cell.project(x).unbind(0)
    count = len(projected)
    padding = None if ragged is None else ragged.padding.unbind(0)
    zones = [repeat(None, count) if mask is None else mask.unbind(0) for mask in (masks.zoneout_h, masks.zoneout_c)]
    zone_of_step = list(zip(*zones, strict=True))
    now: State = tuple(part[0] for part in state)
    outputs: list[Tensor] = [now[0]] * count
    for t in reversed(range(count)) if reverse else range(count):
        new, _ = cell.step(projected[t], now, zone_of_step[t])
        if padding is not None:
            new = tuple(torch.where(padding[t], old, part) for old, part in zip(now, new, strict=True))
        now = new
        outputs[t] = now[0]
    return torch.stack(outputs), tuple(part.unsqueeze(0) for part in now)
