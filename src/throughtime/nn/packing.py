"""Packed weights, kept from call to call as long as the weights they were made of hold the same values.

Values, and not torch's counters of versions: fused optimisers, writes through `.data` and views of other libraries
change weights without counting. Looking at every weight costs a fraction of packing it.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from throughtime import kernels
from throughtime.kernels import NativeLayer
from throughtime.nn.arrays import array, whole
from throughtime.spec.cells import LayerOptions

FORWARD: Final = False
BACKWARD: Final = True

_Packed: TypeAlias = tuple[NativeLayer, int, dict[bool, Tensor]]
"""For which kernels, the fingerprint of the weights, and what they were packed to, by direction of the pass."""

# By weight_ih, weakly: a layer that is gone takes its packed weights along, and a copy of a layer begins with none.
_kept = WeakIdKeyDictionary()


def packed(
    layer: NativeLayer, options: LayerOptions, index: int, weights: Sequence[Tensor], *passes: bool
) -> list[Tensor]:
    """The weights of one direction in the kernels' layout, for each of `passes`, FORWARD or BACKWARD.

    Args:
        layer: the kernels of layer `index` of a stack with these options.
        weights: of the layer, in the order of `spec.cells.direction_shapes`.
    """
    fingerprint = layer.fingerprint(_arrays(weights))
    kept: _Packed | None = _kept.get(weights[0])  # type: ignore[no-untyped-call]
    if kept is None or kept[0] is not layer or kept[1] != fingerprint:
        kept = (layer, fingerprint, {})
        _kept[weights[0]] = kept
    for backward in passes:
        if backward not in kept[2]:
            size = layer.packed_backward if backward else layer.packed_forward
            with torch.inference_mode(False):  # what is made in it cannot be saved for backward, and this is kept
                result = torch.empty(size, dtype=weights[0].dtype, device="cpu")
            # Arrays anew: a capsule can be read once.
            layer.pack(kernels.by_kind(options, index, _arrays(weights)), backward, array(result))
            kept[2][backward] = result
    return [kept[2][backward] for backward in passes]


def forget(weights: Sequence[Tensor]) -> None:
    """Drops what these weights were packed to."""
    for weight in weights:
        _kept.pop(weight, None)  # type: ignore[no-untyped-call]


def _arrays(weights: Sequence[Tensor]) -> list[Any]:
    return [array(whole(weight)) for weight in weights]
