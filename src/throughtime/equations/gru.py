"""The gated recurrent unit, in both published forms (notes A8). Derivation: docs/derivations/gru.md."""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.activations import d_sigmoid, d_tanh, sigmoid
from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.product import Product


@dataclass(frozen=True)
class GRUStep:
    """One step, with all that its backward needs; arrays are (batch, size).

    rz_of_x, rz_of_h, n_of_x, n_of_h: what x_t and h_{t-1} add to r and z, and to n; layer-norm.md (4) says why apart.
    """

    reset_after: bool
    h_before: Array
    rz_of_x: Product
    rz_of_h: Product
    n_of_x: Product
    n_of_h: Product
    r: Array
    z: Array
    n: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d`."""
        (d_h,) = d_state

        delta_n = d_h * (1.0 - self.z) * d_tanh(self.n)  # gru.md (7)
        delta_z = d_h * (self.h_before - self.n) * d_sigmoid(self.z)  # gru.md (8)
        d_h_before = d_h * self.z  # gru.md (9), (15), first term

        if self.reset_after:
            d_q = delta_n * self.r  # gru.md (10)
            d_r = delta_n * self.n_of_h["n"]  # gru.md (11)
            d_h_before += self.n_of_h.back({"n": d_q}, d)  # gru.md (9), second term; gru.md (12)
        else:
            d_reset_h = self.n_of_h.back({"n": delta_n}, d)  # gru.md (13), (16)
            d_r = d_reset_h * self.h_before  # gru.md (14)
            d_h_before += d_reset_h * self.r  # gru.md (15), second term

        delta_rz = {"r": d_r * d_sigmoid(self.r), "z": delta_z}  # gru.md (17)
        d_h_before += self.rz_of_h.back(delta_rz, d)  # gru.md (9), (15), last terms; gru.md (20)
        d_x = self.rz_of_x.back(delta_rz, d) + self.n_of_x.back({"n": delta_n}, d)  # gru.md (18), (19)
        return d_x, (d_h_before,)


def gru_step(direction: Direction, x: Array, state: State) -> GRUStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    reset_after = direction.options.reset_after
    rz_of_x, rz_of_h = direction.of_input(x, "r", "z"), direction.of_hidden(h_before, "r", "z")
    n_of_x = direction.of_input(x, "n")

    r = sigmoid(rz_of_x["r"] + rz_of_h["r"])  # gru.md (1)
    z = sigmoid(rz_of_x["z"] + rz_of_h["z"])  # gru.md (2)
    if reset_after:
        n_of_h = direction.of_hidden(h_before, "n")  # gru.md (3): b_hn stands inside, so r scales it too
        n = np.tanh(n_of_x["n"] + r * n_of_h["n"])  # gru.md (4)
    else:
        n_of_h = direction.of_hidden(r * h_before, "n")
        n = np.tanh(n_of_x["n"] + n_of_h["n"])  # gru.md (5): r does not touch b_hn
    h = (1.0 - z) * n + z * h_before  # gru.md (6)
    return GRUStep(reset_after, h_before, rz_of_x, rz_of_h, n_of_x, n_of_h, r, z, n, h)
