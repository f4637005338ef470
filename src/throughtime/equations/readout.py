"""The end of an LSTM's step, from its cell state to its hidden state. Derivation: docs/derivations/lstm.md.

With layer normalisation: docs/derivations/layer-norm.md; with a projection: docs/derivations/lstm-variants.md.
"""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.activations import d_tanh
from throughtime.equations.arrays import Array, Parameters
from throughtime.equations.layer_norm import LayerNorm, layer_norm


@dataclass(frozen=True)
class Readout:
    """h_t (batch, features of h) from o_t and c_t, with all that its backward needs.

    norm: of c; None without normalisation. revealed: o ⊙ tanh(c), which is h itself where there is no projection.
    weight_hr: None where there is none.
    """

    o: Array
    norm: LayerNorm | None
    tanh_c: Array
    revealed: Array
    weight_hr: Array | None
    h: Array

    def back(self, d_h: Array, d: Parameters) -> tuple[Array, Array]:
        """∂E/∂h_t → ∂E/∂o_t and, through h_t alone, ∂E/∂c_t; the parameters' gradients are added to `d`."""
        d_revealed = d_h
        if self.weight_hr is not None:
            d["weight_hr"][...] += d_h.T @ self.revealed  # lstm-variants.md (12)
            d_revealed = d_h @ self.weight_hr  # lstm-variants.md (11)
        d_o = d_revealed * self.tanh_c  # lstm.md (8), less its last factors
        d_c = d_revealed * self.o * d_tanh(self.tanh_c)  # lstm.md (7), second term; layer-norm.md (10)
        if "bias_c" in d:
            d["bias_c"][...] += d_c.sum(axis=0)  # layer-norm.md (10)
        if self.norm is not None:
            d_c = self.norm.back(d_c, d["norm_c"])
        return d_o, d_c


def read_out(parameters: Parameters, o: Array, c: Array) -> Readout:
    """h_t from o_t and c_t, both (batch, hidden_size)."""
    norm = layer_norm(c, parameters["norm_c"]) if "norm_c" in parameters else None
    c_read = c if norm is None else norm.value + parameters.get("bias_c", 0.0)  # layer-norm.md (5)
    tanh_c = np.tanh(c_read)
    revealed = o * tanh_c  # lstm.md (6)
    weight_hr = parameters.get("weight_hr")
    h = revealed if weight_hr is None else revealed @ weight_hr.T  # lstm-variants.md (10)
    return Readout(o, norm, tanh_c, revealed, weight_hr, h)
