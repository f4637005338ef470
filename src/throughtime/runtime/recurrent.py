"""A stack of recurrent layers for prediction: on the native core where it is, else on NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from numpy.typing import NDArray

from throughtime import kernels
from throughtime.runtime.recurrent_native import NativeStack
from throughtime.runtime.recurrent_numpy import NumpyStack
from throughtime.spec.cells import LayerOptions, parameter_shapes
from throughtime.spec.errors import ShapeError

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class StackOutput:
    """What a stack computes.

    output: (sum of lengths, output_size), row i belongs to step i of all sequences end to end, both directions side by
    side. h_n: one array a layer, (num_directions, batch, hidden_size): each direction's state after its last real step.
    """

    output: Array
    h_n: list[Array]


class _Stack(Protocol):
    def forward(self, x: Array, lengths: Array, index: Array | None) -> tuple[Array, list[Array]]: ...


class RecurrentStack:
    """A stack of recurrent layers with its weights laid out for prediction.

    Args:
        options: cell, sizes, directions.
        parameters: name → array as in `spec.cells.parameter_shapes`, all float32 or all float64; further names are
            ignored.
        native: False for NumPy even where the native core is.
    Raises:
        ShapeError: a parameter is missing or has another shape.
    """

    def __init__(self, options: LayerOptions, parameters: Mapping[str, Array], *, native: bool = True) -> None:
        for name, shape in parameter_shapes(options).items():
            if name not in parameters or parameters[name].shape != shape:
                found = parameters[name].shape if name in parameters else "nothing"
                raise ShapeError(f"parameter {name} must have shape {shape}, but is {found}")
        self.options = options
        self._stack: _Stack = (NativeStack if native and kernels.available() else NumpyStack)(options, parameters)

    def forward(self, x: Array, lengths: Array, index: Array | None = None) -> StackOutput:
        """Run all sequences from a zero state.

        Args:
            x: (rows, input_size): the inputs of all sequences end to end; or, with `index`, rows to choose from (as an
                embedding is looked up): the same array at every call, whose rows go through the first layer's weights
                once as they are met.
            lengths: (batch,), each at least 1: steps of each sequence.
            index: (sum of lengths,): which row of `x` is the input of each step.
        Raises:
            ShapeError: shapes that do not fit, or a length below 1.
        """
        steps = len(x) if index is None else len(index)
        if x.ndim != 2 or x.shape[1] != self.options.input_size:
            raise ShapeError(f"x must have shape (rows, {self.options.input_size}), but is {x.shape}")
        if len(lengths) == 0 or lengths.min() < 1 or lengths.sum() != steps:
            raise ShapeError(f"lengths must be at least 1 and sum to the {steps} steps, but are {lengths.tolist()}")
        if index is not None and (index.min() < 0 or index.max() >= len(x)):
            raise ShapeError(f"index must be in 0..{len(x) - 1}, but is in {index.min()}..{index.max()}")
        return StackOutput(*self._stack.forward(x, lengths, index))
