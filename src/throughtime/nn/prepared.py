"""One call of a stack made ready: options as they act in it, weights with their masks applied, all masks drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from throughtime.nn.acting import acting
from throughtime.nn.lengths import Unpadded
from throughtime.nn.masks import LayerMasks, apply_to_weights, draw, of_steps, padded
from throughtime.nn.plain import LayerWeights
from throughtime.spec.cells import LayerOptions


@dataclass(frozen=True)
class Prepared:
    """What a call computes with.

    options: see `acting`. masks: of each layer, in the layout of the input; None where neither zoneout nor recurrent
    dropout draws. dropout, training: of torch's dropout between layers, which is drawn where it acts. unpadded: how an
    input that came without padding was padded.
    """

    options: LayerOptions
    weights: Sequence[LayerWeights]
    masks: Sequence[LayerMasks] | None
    dropout: float
    training: bool
    unpadded: Unpadded | None = None

    def padded(self, rows: Unpadded) -> "Prepared":
        """The same for the padded input: masks of zoneout are laid out like it."""
        masks = None if self.masks is None else [padded(layer, rows.pad) for layer in self.masks]
        return replace(self, masks=masks, unpadded=rows)


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
