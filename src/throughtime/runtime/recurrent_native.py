"""A recurrent stack on the native core, forward only."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughtime import kernels
from throughtime.kernels import BatchPlan, NativeLayer
from throughtime.spec.cells import KINDS, LayerOptions, suffix

Array: TypeAlias = NDArray[Any]

_LARGEST_TABLE: Final = 128 << 20
"""Bytes of a folded table; beyond it, the rows that a call meets are projected anew."""


class NativeStack:
    """The stack on the kernels. Arguments are those of `RecurrentStack`, checked there."""

    def __init__(self, options: LayerOptions, parameters: Mapping[str, Array]) -> None:
        self._options = options
        dtype = parameters["weight_ih_l0"].dtype
        self._dtype = dtype
        self._layers = [kernels.layer(options, index, dtype.name) for index in range(options.num_layers)]
        self._packed = [
            [self._pack(layer, parameters, suffix(index, d)) for d in range(options.num_directions)]
            for index, layer in enumerate(self._layers)
        ]
        self._table: _Folded | None = None

    def _pack(self, layer: NativeLayer, parameters: Mapping[str, Array], end: str) -> Array:
        packed = kernels.new_array((layer.packed_forward,), self._dtype)
        values = [parameters.get(kind + end) for kind in KINDS]
        layer.pack([None if value is None else np.ascontiguousarray(value) for value in values], False, packed)
        return packed

    def forward(self, x: Array, lengths: Array, index: Array | None) -> tuple[Array, list[Array]]:
        """Output and final states of all sequences from a zero state, as `StackOutput` has them."""
        plan = BatchPlan(int(lengths.max()), len(lengths), lengths.tolist())
        directions, batch = self._options.num_directions, len(lengths)
        projected: list[Array] = []
        ids = None
        if index is None:
            x = np.ascontiguousarray(x, self._dtype)
        else:
            projected, rows = self._folded(x, index)
            ids = np.empty_like(rows)
            plan.by_token(rows, ids)
        ends = []
        for layer, packed, size in zip(self._layers, self._packed, self._options.hidden_size, strict=True):
            y = kernels.new_array((plan.tokens, directions * size), self._dtype)
            h_n, c_n = np.empty((2, directions, batch, size), self._dtype)
            cell = c_n if self._options.cell == "LSTM" else None
            given = x if ids is None else None
            layer.forward(plan, given, packed, None, None, y, h_n, cell, [], projected, ids, kernels.threads())
            ends.append(h_n)
            x, projected, ids = y, [], None
        return x, ends

    def _folded(self, x: Array, index: Array) -> tuple[list[Array], Array]:
        """The input projection of rows of `x`, one table a direction, and the row of each step in it."""
        layer, packed = self._layers[0], self._packed[0]
        width = layer.input_width * self._options.num_directions * self._dtype.itemsize
        if len(x) * width > _LARGEST_TABLE:
            different, rows = np.unique(index, return_inverse=True)
            return _project(layer, packed, x[different]), rows.astype(np.int32)
        if self._table is None or self._table.x is not x:
            self._table = _Folded(layer, packed, x)
        return self._table.tables(index), index.astype(np.int32)


class _Folded:
    """embedding x weight_ih + biases, computed for each row as it is met, and kept.

    A long stream of texts ends with all rows computed once; a single text pays for its own words only. Memory that was
    never written to is not taken from the machine.
    """

    def __init__(self, layer: NativeLayer, packed: list[Array], x: Array) -> None:
        self.x = x
        self._layer, self._packed = layer, packed
        self._tables = [kernels.new_array((len(x), layer.input_width), x.dtype) for _ in packed]
        self._met = np.zeros(len(x), bool)

    def tables(self, index: Array) -> list[Array]:
        """The tables, one a direction, with at least the rows of `index` filled."""
        new = np.unique(index[~self._met[index]])
        if len(new):
            for table, part in zip(self._tables, _project(self._layer, self._packed, self.x[new]), strict=True):
                table[new] = part
            self._met[new] = True
        return self._tables


def _project(layer: NativeLayer, packed: list[Array], x: Array) -> list[Array]:
    parts = [kernels.new_array((len(x), layer.input_width), x.dtype) for _ in packed]
    for weights, part in zip(packed, parts, strict=True):
        layer.project(weights, x, part, kernels.threads())
    return parts
