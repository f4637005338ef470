"""The reference's arrays: everything is float64, and a wrong shape is named before anything is computed."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from throughtime.spec.errors import ShapeError

Array: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
State: TypeAlias = tuple[Array, ...]
"""What one step hands to the next: (h,), or (h, c) for LSTM; h (batch, features of h), c (batch, hidden_size)."""
Parameters: TypeAlias = Mapping[str, Array]
"""One direction's parameters by their kind in `spec.cells.direction_shapes`, or the gradient of each.

They are views of the stack's: adding to the views of a gradient adds to the gradient.
"""


def float64(name: str, value: ArrayLike, shape: tuple[int, ...], rule: str) -> Array:
    """A copy of `value` in float64, checked to have `shape`: what is kept cannot be changed from outside.

    Raises:
        ShapeError: another shape; the message says `rule` (such as "(seq_len, batch, input_size)") and both shapes.
    """
    array = np.array(value, dtype=np.float64)
    if array.shape != shape:
        raise ShapeError(f"{name} must be {rule} = {shape}, but is {array.shape}")
    return array


def float64_each(
    values: Mapping[str, ArrayLike], shapes: Mapping[str, tuple[int, ...]], rule: str = "of the options"
) -> dict[str, Array]:
    """Copies of `values` in float64, checked to have exactly the names and shapes of `shapes`.

    Raises:
        ShapeError: a name is missing or unknown, or a shape differs; the message says which.
    """
    if missing := [name for name in shapes if name not in values]:
        raise ShapeError(f"parameters must hold {', '.join(shapes)}, but lack {', '.join(missing)}")
    if unknown := [name for name in values if name not in shapes]:
        raise ShapeError(f"parameters must hold {', '.join(shapes)} only, but also hold {', '.join(unknown)}")
    return {name: float64(name, values[name], shape, f"the shape {rule}") for name, shape in shapes.items()}
