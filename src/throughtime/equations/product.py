"""What x_t or h_{t-1} adds to the arguments of the gates at one step: W v + b, and back.

Derivation: docs/derivations/rnn.md; layer-norm.md and zoneout-and-dropout.md for what options do to it. A batch is held
as rows, so W v of the derivations is `v @ W.T` here, and Wᵀ δ is `delta @ W`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from throughtime.equations.arrays import Array, Parameters
from throughtime.equations.layer_norm import LayerNorm, layer_norm
from throughtime.spec.cells import gate_rows

Side: TypeAlias = Literal["ih", "hh"]
"""Ending of the parameters' kinds: those of the input, or those of the hidden state before."""


@dataclass(frozen=True)
class Product:
    """W_i* x + b_i* or W_h* h + b_h* of `gates`: product["r"] is (batch, hidden_size) of gate r.

    The gates of one product are normalised together, where they are normalised.

    rows: of `gates` in every matrix and bias. v and weight: as they were multiplied, thus with their
    masks. mask_of_v, mask_of_weight: the masks alone; 1.0 without dropout. norm: of W v; None without normalisation.
    """

    side: Side
    gates: tuple[str, ...]
    rows: slice
    v: Array
    weight: Array
    mask_of_v: Array | float
    mask_of_weight: Array | float
    norm: LayerNorm | None
    value: Array

    def __getitem__(self, gate: str) -> Array:
        return self.value[:, gate_rows(self.gates, gate, self.value.shape[1] // len(self.gates))]

    def back(self, delta: Mapping[str, Array], d: Parameters) -> Array:
        """∂E/∂value of each gate → ∂E/∂v (x or h); the parameters' gradients are added to `d`."""
        d_value = np.concatenate([delta[gate] for gate in self.gates], axis=1)
        if f"bias_{self.side}" in d:
            d[f"bias_{self.side}"][self.rows] += d_value.sum(axis=0)  # rnn.md (8), (9)
        d_sum = d_value
        if self.norm is not None:
            d_sum = self.norm.back(d_value, d[f"norm_{self.side}"][self.rows])  # layer-norm.md (9) reads this δ
        d_weight = d_sum.T @ self.v  # rnn.md (6), (7); zoneout-and-dropout.md (9)
        d[f"weight_{self.side}"][self.rows] += self.mask_of_weight * d_weight  # zoneout-and-dropout.md (12)
        return self.mask_of_v * (d_sum @ self.weight)  # rnn.md (5), (10); zoneout-and-dropout.md (10)


def product(
    parameters: Parameters,
    side: Side,
    gates: tuple[str, ...],
    rows: slice,
    v: Array,
    mask_of_v: Array | float = 1.0,
    mask_of_weight: Array | float = 1.0,
) -> Product:
    """The product of v (batch, features) with the rows of `gates`, and their bias where there is one."""
    v = mask_of_v * v  # zoneout-and-dropout.md (8)
    weight = mask_of_weight * parameters[f"weight_{side}"][rows]  # zoneout-and-dropout.md (11)
    value = v @ weight.T
    norm = None
    if f"norm_{side}" in parameters:
        norm = layer_norm(value, parameters[f"norm_{side}"][rows])
        value = norm.value  # layer-norm.md (3)
    if f"bias_{side}" in parameters:
        value = value + parameters[f"bias_{side}"][rows]
    return Product(side, gates, rows, v, weight, mask_of_v, mask_of_weight, norm, value)
