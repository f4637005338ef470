"""The gated recurrent unit, in both published forms (notes A8). Derivation: docs/derivations/gru.md."""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.activations import d_sigmoid, d_tanh, sigmoid
from throughtime.equations.arrays import Array, State
from throughtime.equations.gate import Gates


@dataclass(frozen=True)
class GRUStep:
    """One step, with all that its backward needs; arrays are (batch, size).

    q is what the reset gate scales: W_hn h_{t-1} + b_hn if reset_after, else h_{t-1} itself.
    """

    reset_after: bool
    gates: Gates
    x: Array
    h_before: Array
    r: Array
    z: Array
    n: Array
    q: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d_gates: Gates) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d_gates`."""
        (d_h,) = d_state
        W = self.gates

        delta_n = d_h * (1.0 - self.z) * d_tanh(self.n)  # gru.md (7)
        delta_z = d_h * (self.h_before - self.n) * d_sigmoid(self.z)  # gru.md (8)
        d_h_before = d_h * self.z  # gru.md (9), first term

        if self.reset_after:
            d_q = delta_n * self.r  # gru.md (10)
            d_r = delta_n * self.q  # gru.md (11)
            d_h_before += d_q @ W["n"].weight_hh  # gru.md (9), second term
            d_gates["n"].add_of_hidden(d_q, self.h_before)  # gru.md (12)
        else:
            d_reset_h = delta_n @ W["n"].weight_hh  # gru.md (13)
            d_r = d_reset_h * self.q  # gru.md (14)
            d_h_before += d_reset_h * self.r  # gru.md (15), second term
            d_gates["n"].add_of_hidden(delta_n, self.r * self.h_before)  # gru.md (16)

        delta_r = d_r * d_sigmoid(self.r)  # gru.md (17)
        d_h_before += delta_r @ W["r"].weight_hh + delta_z @ W["z"].weight_hh  # gru.md (9), (15), last terms
        d_x = delta_r @ W["r"].weight_ih + delta_z @ W["z"].weight_ih + delta_n @ W["n"].weight_ih  # gru.md (18)

        d_gates["r"].add_of_input(delta_r, self.x)  # gru.md (19)
        d_gates["z"].add_of_input(delta_z, self.x)  # gru.md (19)
        d_gates["n"].add_of_input(delta_n, self.x)  # gru.md (19)
        d_gates["r"].add_of_hidden(delta_r, self.h_before)  # gru.md (20)
        d_gates["z"].add_of_hidden(delta_z, self.h_before)  # gru.md (20)
        return d_x, (d_h_before,)


def gru_step(gates: Gates, x: Array, state: State, *, reset_after: bool) -> GRUStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state

    r = sigmoid(gates["r"].of_input(x) + gates["r"].of_hidden(h_before))  # gru.md (1)
    z = sigmoid(gates["z"].of_input(x) + gates["z"].of_hidden(h_before))  # gru.md (2)
    if reset_after:
        q = gates["n"].of_hidden(h_before)  # gru.md (3): b_hn stands inside, so r scales it too
        n = np.tanh(gates["n"].of_input(x) + r * q)  # gru.md (4)
    else:
        q = h_before
        n = np.tanh(gates["n"].of_input(x) + gates["n"].of_hidden(r * q))  # gru.md (5): r does not touch b_hn
    h = (1.0 - z) * n + z * h_before  # gru.md (6)
    return GRUStep(reset_after, gates, x, h_before, r, z, n, q, h)
