"""One call of a stack made ready: options as they act in it, weights with their masks applied, all masks drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from throughtime.nn.acting import acting
from throughtime.nn.lengths import Unpadded
from throughtime.nn.masks import LayerMasks, apply_to_weights, draw, of_steps
from throughtime.nn.plain import LayerWeights
from throughtime.spec.cells import LayerOptions


@dataclass(frozen=True)
class Prepared:
    """What a call computes with.

    options: see `acting`. masks: of each layer, in the layout of the input; None where neither zoneout nor recurrent
    dropout draws. dropout, training: of torch's dropout between layers, which is drawn where it acts.
    """

    options: LayerOptions
    weights: Sequence[LayerWeights]
    masks: Sequence[LayerMasks] | None
    dropout: float
    training: bool

    def padded(self, rows: Unpadded) -> "Prepared":
        """The same for the padded input: masks of zoneout are laid out like it."""
        if self.masks is None:
            return self

        def pad(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else rows.pad(mask)

        masks = [
            [replace(mask, zoneout_h=pad(mask.zoneout_h), zoneout_c=pad(mask.zoneout_c)) for mask in layer]
            for layer in self.masks
        ]
        return replace(self, masks=masks)


def prepare(
    options: LayerOptions,
    weights: Sequence[LayerWeights],
    steps: Sequence[int],
    batch: int,
    device: torch.device,
    dropout: float,
    training: bool,
) -> Prepared:
    """Draws the masks of a call over input with these leading axes, `steps`; see `masks.draw`."""
    acts = acting(options, training)
    masks = draw(options, steps, batch, weights[0][0][0].dtype, device) if training else None
    if masks is not None and options.weight_dropout:
        weights = apply_to_weights(options, weights, masks)
    return Prepared(acts, weights, of_steps(acts, masks), dropout, training)
