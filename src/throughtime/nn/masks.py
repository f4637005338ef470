"""Draws the masks of a call: once, before anything is computed, so that they are the same bits on every backend.

Order: layer by layer, direction by direction, in each weight_hh, recurrent, zoneout_h, zoneout_c, as far as the options
have them; from the default generator of the input's device. Dropout between layers, torch's own, draws after them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from torch import Tensor

from throughtime.nn.booleans import booleans
from throughtime.nn.cells import Weights, kinds
from throughtime.spec.cells import LayerOptions, direction_shapes
from throughtime.spec.masks import Masks

LayerMasks: TypeAlias = Sequence[Masks[Tensor]]
"""Those of one layer, one entry a direction."""


def draw(
    options: LayerOptions, steps: Sequence[int], batch: int, dtype: torch.dtype, device: torch.device
) -> list[LayerMasks] | None:
    """The masks of one call in training, one entry a layer; None where the options have none.

    Args:
        steps: leading axes of the input: (seq_len, batch), or (tokens,) without padding.
        dtype: of the parameters, and so of the masks that scale.
    """
    if not (any(options.zoneout) or options.recurrent_dropout or options.weight_dropout):
        return None
    return [
        [_draw_direction(options, layer, steps, batch, dtype, device) for _ in range(options.num_directions)]
        for layer in range(options.num_layers)
    ]


def _draw_direction(
    options: LayerOptions, layer: int, steps: Sequence[int], batch: int, dtype: torch.dtype, device: torch.device
) -> Masks[Tensor]:
    features, units = options.output_features(layer), options.hidden_size[layer]
    weight_hh = direction_shapes(options, layer).get("weight_hh", ())
    keep_h, keep_c = options.zoneout
    return Masks(
        weight_hh=_scaled(weight_hh, options.weight_dropout, dtype, device),
        recurrent=_scaled((batch, features), options.recurrent_dropout, dtype, device),
        zoneout_h=booleans((*steps, features), keep_h, device) if keep_h else None,
        zoneout_c=booleans((*steps, units), keep_c, device) if keep_c else None,
    )


def _scaled(shape: Sequence[int], share: float, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    return (~booleans(shape, share, device)).to(dtype) / (1 - share) if share else None


def of_steps(acts: LayerOptions, masks: Sequence[LayerMasks] | None) -> Sequence[LayerMasks] | None:
    """`masks` where a backend has something to do with them; None where weight_hh's is the only one.

    Args:
        acts: the options as they act.
    """
    return masks if any(acts.zoneout) or acts.recurrent_dropout else None


def apply_to_weights(
    options: LayerOptions, weights: Sequence[Sequence[Weights]], masks: Sequence[LayerMasks]
) -> list[list[Weights]]:
    """The weights with weight_hh masked."""
    place = kinds(options).index("weight_hh")

    def masked(weights: Weights, mask: Tensor | None) -> Weights:
        return weights if mask is None else (*weights[:place], weights[place] * mask, *weights[place + 1 :])

    return [
        [masked(part, mask.weight_hh) for part, mask in zip(layer, layer_masks, strict=True)]
        for layer, layer_masks in zip(weights, masks, strict=True)
    ]


def padded(masks: LayerMasks, pad: Callable[[Tensor], Tensor]) -> LayerMasks:
    """Masks of an input without padding, laid out as the padded input."""

    def laid_out(mask: Tensor | None) -> Tensor | None:
        return None if mask is None else pad(mask)

    return [replace(m, zoneout_h=laid_out(m.zoneout_h), zoneout_c=laid_out(m.zoneout_c)) for m in masks]
