"""The recurrent state: between the user's form (torch's tensors, or lists where sizes differ) and one entry a layer."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import ShapeError

State: TypeAlias = tuple[Tensor, ...]
"""What one layer carries from step to step: (h,), or (h, c) for LSTM; each (num_directions, batch, features).

Features are hidden_size, but those of h are proj_size where there is a projection.
"""


def _parts(options: LayerOptions) -> tuple[str, ...]:
    return ("h_0", "c_0") if options.has_cell_state else ("h_0",)


def _features(options: LayerOptions, layer: int) -> tuple[int, int]:
    """Of h and of c."""
    return options.output_features(layer), options.hidden_size[layer]


def equal_sizes(options: LayerOptions) -> bool:
    """Whether all layers have one size, so that their states fit one tensor, as torch's do."""
    return len(set(options.hidden_size)) == 1


def zero_state(options: LayerOptions, batch: int, like: Tensor) -> list[State]:
    """The state before the first step where the user gives none."""
    parts = len(_parts(options))
    return [
        tuple(like.new_zeros(options.num_directions, batch, size) for size in _features(options, layer)[:parts])
        for layer in range(options.num_layers)
    ]


def read_state(options: LayerOptions, hx: Any, batch: int, batched: bool, dtype: torch.dtype | None) -> list[State]:
    """One `State` a layer from what the user gave as `hx`.

    Args:
        hx: h_0, or (h_0, c_0) for LSTM. Equal sizes: each a tensor (num_layers * num_directions, batch, hidden_size);
            sizes that differ: each a list of one tensor (num_directions, batch, hidden_size[l]) a layer. With a
            projection, proj_size in place of hidden_size in h_0. Without the batch axis where `batched` is False.
        dtype: what they must have; None for any (under autocast).

    Raises:
        ShapeError: a part is missing or has another shape or dtype.
    """
    names = _parts(options)
    if len(names) == 1:
        parts: Sequence[Any] = (hx,)
    elif isinstance(hx, (tuple, list)) and len(hx) == len(names):
        parts = hx
    else:
        raise ShapeError(f"hx of {options.cell} must be the pair ({', '.join(names)}), but is {_describe(hx)}")
    layers = [_read_part(options, place, part, batch, batched) for place, part in enumerate(parts)]
    for name, part in zip(names, layers, strict=True):
        for tensor in part:
            if dtype is not None and tensor.dtype != dtype:
                raise ShapeError(
                    f"{name} must have the input's dtype, {dtype}, but has {tensor.dtype}; see {name}.to({dtype})"
                )
    return list(zip(*layers, strict=True))


def _read_part(options: LayerOptions, place: int, part: Any, batch: int, batched: bool) -> list[Tensor]:
    """One tensor a layer of h_0 (place 0) or c_0."""
    name = _parts(options)[place]
    sizes = [_features(options, layer)[place] for layer in range(options.num_layers)]
    size_name = "proj_size" if options.proj_size and place == 0 else "hidden_size"
    middle = (batch,) if batched else ()
    axes = "batch, " if batched else ""
    if equal_sizes(options):
        expected = (options.num_layers * options.num_directions, *middle, sizes[0])
        form = f"(num_layers * num_directions, {axes}{size_name})"
        if not isinstance(part, Tensor):
            raise ShapeError(f"{name} must be a tensor {form}, but is {_describe(part)}")
        _check_shape(name, form, part, expected)
        whole = part if batched else part.unsqueeze(1)
        return list(torch.split(whole, options.num_directions))
    if isinstance(part, Tensor) or not isinstance(part, Sequence) or len(part) != options.num_layers:
        raise ShapeError(
            f"{name} must be a list of {options.num_layers} tensors, one a layer, because the layers' sizes differ "
            f"({list(options.hidden_size)}), but is {_describe(part)}"
        )
    for layer, (tensor, size) in enumerate(zip(part, sizes, strict=True)):
        form = f"(num_directions, {axes}{size_name if size_name == 'proj_size' else f'hidden_size[{layer}]'})"
        _check_shape(f"{name}[{layer}]", form, tensor, (options.num_directions, *middle, size))
    return [tensor if batched else tensor.unsqueeze(1) for tensor in part]


def _check_shape(name: str, form: str, tensor: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != expected:
        raise ShapeError(f"{name} must have shape {form}, but {tuple(tensor.shape)} != {expected}")


def write_state(options: LayerOptions, states: list[State], batched: bool) -> Any:
    """The user's form of the state after the last step: the inverse of `read_state`."""
    parts: list[Tensor | list[Tensor]] = []
    for part in zip(*states, strict=True):
        tensors = part if batched else tuple(tensor.squeeze(1) for tensor in part)
        parts.append(join(tensors) if equal_sizes(options) else list(tensors))
    return tuple(parts) if len(parts) > 1 else parts[0]


def detached(hx: Any) -> Any:
    """A state in the user's form, cut off from what computed it."""
    if isinstance(hx, Tensor):
        return hx.detach()
    return type(hx)(detached(part) for part in hx)


def join(tensors: Sequence[Tensor]) -> Tensor:
    """The layers' tensors as one along their first axis, without a copy where there is only one."""
    return tensors[0] if len(tensors) == 1 else torch.cat(tuple(tensors))


def reorder(states: Sequence[State], index: Tensor | None) -> list[State]:
    """The sequences of a batch in another order; None leaves them."""
    if index is None:
        return list(states)
    return [tuple(tensor.index_select(1, index) for tensor in state) for state in states]


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
