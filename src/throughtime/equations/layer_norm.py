"""Layer normalisation of one vector a sequence. Derivation: docs/derivations/layer-norm.md."""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.arrays import Array
from throughtime.spec.cells import NORM_EPS


@dataclass(frozen=True)
class LayerNorm:
    """g ⊙ LN(v), with all that its backward needs.

    gain: g, (size,). unit: LN(v), (batch, size). deviation: σ of each vector, (batch, 1).
    """

    gain: Array
    unit: Array
    deviation: Array

    @property
    def value(self) -> Array:
        return self.gain * self.unit

    def back(self, d_value: Array, d_gain: Array) -> Array:
        """∂E/∂value → ∂E/∂v; the gradient of the gain is added to `d_gain`."""
        d_gain += (d_value * self.unit).sum(axis=0)  # layer-norm.md (6)
        d_unit = self.gain * d_value  # layer-norm.md (7)
        d_mean = d_unit.mean(axis=1, keepdims=True)
        d_spread = (d_unit * self.unit).mean(axis=1, keepdims=True)
        d_v: Array = (d_unit - d_mean - self.unit * d_spread) / self.deviation  # layer-norm.md (8)
        return d_v


def layer_norm(v: Array, gain: Array) -> LayerNorm:
    """g ⊙ LN(v) of every row of v (batch, size)."""
    centred = v - v.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + NORM_EPS)  # layer-norm.md (1)
    return LayerNorm(gain, centred / deviation, deviation)  # layer-norm.md (2)
