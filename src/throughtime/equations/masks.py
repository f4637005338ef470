"""The masks of a stack: checked, and those of one step. What they are: spec/masks.py."""

from collections.abc import Sequence
from dataclasses import fields

from numpy.typing import ArrayLike

from throughtime.equations.arrays import Array, Indices, float64
from throughtime.spec.cells import LayerOptions, direction_shapes
from throughtime.spec.errors import OptionError, ShapeError
from throughtime.spec.masks import Masks


def checked_masks(
    options: LayerOptions, masks: Sequence[Sequence[Masks[ArrayLike]]] | None, seq_len: int, batch: int
) -> list[list[Masks[Array]]]:
    """One `Masks` a direction of each layer, in float64; None gives masks that hold nothing.

    Raises:
        ShapeError: not one a direction of each layer, or an array of another shape; gives both.
        OptionError: a mask of an option that is off.
    """
    if masks is None:
        return [[Masks() for _ in range(options.num_directions)] for _ in range(options.num_layers)]
    if len(masks) != options.num_layers:
        raise ShapeError(f"masks must hold one entry a layer = {options.num_layers}, but holds {len(masks)}")
    checked: list[list[Masks[Array]]] = []
    for layer, directions in enumerate(masks):
        if len(directions) != options.num_directions:
            rule = f"one Masks a direction = {options.num_directions}"
            raise ShapeError(f"masks[{layer}] must hold {rule}, but holds {len(directions)}")
        checked.append(
            [
                _checked(options, layer, given, f"masks[{layer}][{direction}]", seq_len, batch)
                for direction, given in enumerate(directions)
            ]
        )
    return checked


def _checked(
    options: LayerOptions, layer: int, given: Masks[ArrayLike], name: str, seq_len: int, batch: int
) -> Masks[Array]:
    features, size = options.output_features(layer), options.hidden_size[layer]
    shares = {
        "zoneout_h": options.zoneout[0],
        "zoneout_c": options.zoneout[1],
        "recurrent": options.recurrent_dropout,
        "weight_hh": options.weight_dropout,
    }
    shapes = {
        "zoneout_h": ((seq_len, batch, features), "(seq_len, batch, features of h)"),
        "zoneout_c": ((seq_len, batch, size), "(seq_len, batch, hidden_size)"),
        "recurrent": ((batch, features), "(batch, features of h)"),
        "weight_hh": (direction_shapes(options, layer).get("weight_hh", ()), "the shape of the parameter"),
    }
    values: dict[str, Array | None] = {}
    for kind in (field.name for field in fields(Masks)):
        mask = getattr(given, kind)
        if mask is not None and not shares[kind]:
            raise OptionError(f"{name}.{kind} must be None, because the share of the options that it belongs to is 0")
        values[kind] = None if mask is None else float64(f"{name}.{kind}", mask, *shapes[kind])
    return Masks(**values)


def masks_of_step(masks: Masks[Array], t: int, live: Indices) -> Masks[Array]:
    """Those of step t for the rows `live` of the batch: zoneout's have no axis of time then."""
    return Masks(
        zoneout_h=None if masks.zoneout_h is None else masks.zoneout_h[t, live],
        zoneout_c=None if masks.zoneout_c is None else masks.zoneout_c[t, live],
        recurrent=None if masks.recurrent is None else masks.recurrent[live],
        weight_hh=masks.weight_hh,
    )
