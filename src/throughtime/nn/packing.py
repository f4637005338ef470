"""Packed weights, kept from call to call as long as the weights they were made of are the same.

"The same" is: the same tensor objects, at the same addresses, at the same version. A version counts every change in
place that autograd sees: an optimiser's step, `load_state_dict`, `copy_`. A write through `.data` or NumPy is counted
nowhere; after one, `invalidate` (of the layer) forgets what was packed. float64 is never kept: it is what gradients are
checked in, and torch's gradcheck moves parameters through `.data`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from throughtime.kernels import NativeLayer

_Key: TypeAlias = tuple[Any, ...]


@dataclass
class _Entry:
    """What one set of weights was packed to, for forward and for backward."""

    key: _Key
    packed: dict[bool, Tensor] = field(default_factory=dict)


# By weight_ih, weakly: a layer that is gone takes its packed weights along, and a copy of a layer begins with none.
_entries = WeakIdKeyDictionary()


def packed(layer: NativeLayer, weights: Sequence[Tensor], *, backward: bool) -> Tensor:
    """The weights of one direction in the kernels' layout.

    Args:
        weights: weight_ih, weight_hh, and with bias bias_ih, bias_hh.
        backward: for the backward pass; it needs another layout.
    """
    if weights[0].dtype == torch.float64 or any(weight.is_inference() for weight in weights):
        return _pack(layer, weights, backward)  # tensors of inference mode have no version
    key = (id(layer), *[(id(weight), weight.data_ptr(), weight._version) for weight in weights])
    entry: _Entry | None = _entries.get(weights[0])  # type: ignore[no-untyped-call]
    if entry is None or entry.key != key:
        entry = _Entry(key)
        _entries[weights[0]] = entry
    result: Tensor | None = entry.packed.get(backward)
    if result is None:
        result = entry.packed[backward] = _pack(layer, weights, backward)
    return result


def forget(weights: Sequence[Tensor]) -> None:
    """Forgets what these weights were packed to."""
    for weight in weights:
        _entries.pop(weight, None)  # type: ignore[no-untyped-call]


def _pack(layer: NativeLayer, weights: Sequence[Tensor], backward: bool) -> Tensor:
    size = layer.packed_backward if backward else layer.packed_forward
    result = torch.empty(size, dtype=weights[0].dtype)
    parts = [weight.detach().contiguous() for weight in weights]
    weight_ih, weight_hh, bias_ih, bias_hh = parts if len(parts) == 4 else (*parts, None, None)
    layer.pack(weight_ih, weight_hh, bias_ih, bias_hh, backward, result)
    return result
