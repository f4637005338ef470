"""A linear layer whose rows do not depend on each other: the same bits alone and in any batch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime import kernels
from throughtime.kernels import BatchPlan
from throughtime.spec.cells import KINDS, LayerOptions

Array = NDArray[Any]


class Linear:
    """x → x weightᵀ + bias.

    A BLAS adds up in another order for another number of rows. The core does not: there it is the first step of an
    IndRNN without a nonlinearity. Where there is no core, it is NumPy's product, and rows may differ in the last bits.

    Args:
        weight: (out, in), float32 or float64.
        bias: (out,), of the same type.
    """

    def __init__(self, weight: Array, bias: Array) -> None:
        self._weight, self._bias = weight, bias
        self._packed: Array | None = None
        if kernels.available():
            options = LayerOptions("IndRNN", weight.shape[1], (len(weight),), nonlinearity="identity")
            parameters = {"weight_ih": weight, "weight_hh": np.zeros_like(bias), "bias_ih": bias}
            values = [np.ascontiguousarray(parameters[kind]) if kind in parameters else None for kind in KINDS]
            self._layer = kernels.layer(options, 0, weight.dtype.name)
            self._packed = kernels.new_array((self._layer.packed_forward,), weight.dtype)
            self._layer.pack(values, False, self._packed)

    def __call__(self, x: Array) -> Array:
        """(rows, in) → (rows, out)."""
        if self._packed is None:
            product: Array = x @ self._weight.T + self._bias
            return product
        x = np.ascontiguousarray(x, self._weight.dtype)
        y = np.empty((len(x), len(self._weight)), x.dtype)
        # One thread: what there is to do is over before a second one would have begun.
        self._layer.forward(
            BatchPlan(1, len(x), None),
            x,
            [self._packed],
            None,
            None,
            y,
            np.empty((1, *y.shape), x.dtype),
            None,
            [],
            [],
            None,
            1,
        )
        return y
