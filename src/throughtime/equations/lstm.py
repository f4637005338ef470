"""The long short-term memory (notes A9). Derivation: docs/derivations/lstm.md."""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.activations import d_sigmoid, d_tanh, sigmoid
from throughtime.equations.arrays import Array, State
from throughtime.equations.gate import Gates


@dataclass(frozen=True)
class LSTMStep:
    """One step, with all that its backward needs; arrays are (batch, size)."""

    gates: Gates
    x: Array
    h_before: Array
    c_before: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h, self.c)

    def back(self, d_state: State, d_gates: Gates) -> tuple[Array, State]:
        """∂E/∂h_t, ∂E/∂c_t → ∂E/∂x_t and ∂E/∂(h_{t-1}, c_{t-1}); parameters' gradients are added to `d_gates`."""
        d_h, d_c_later = d_state

        d_c = d_c_later + d_h * self.o * d_tanh(self.tanh_c)  # lstm.md (7)
        delta = {
            "o": d_h * self.tanh_c * d_sigmoid(self.o),  # lstm.md (8)
            "f": d_c * self.c_before * d_sigmoid(self.f),  # lstm.md (9)
            "i": d_c * self.g * d_sigmoid(self.i),  # lstm.md (10)
            "g": d_c * self.i * d_tanh(self.g),  # lstm.md (11)
        }

        d_c_before = d_c * self.f  # lstm.md (12)
        d_h_before = np.zeros_like(self.h_before)
        d_x = np.zeros_like(self.x)
        for name, delta_gate in delta.items():
            d_h_before += delta_gate @ self.gates[name].weight_hh  # lstm.md (13)
            d_x += delta_gate @ self.gates[name].weight_ih  # lstm.md (14)
            d_gates[name].add_of_input(delta_gate, self.x)  # lstm.md (15)
            d_gates[name].add_of_hidden(delta_gate, self.h_before)  # lstm.md (16)
        return d_x, (d_h_before, d_c_before)


def lstm_step(gates: Gates, x: Array, state: State) -> LSTMStep:
    """h_t and c_t from x_t (batch, input_size) and (h_{t-1}, c_{t-1})."""
    h_before, c_before = state
    a = {name: gate.of_input(x) + gate.of_hidden(h_before) for name, gate in gates.items()}

    i = sigmoid(a["i"])  # lstm.md (1)
    f = sigmoid(a["f"])  # lstm.md (2)
    g = np.tanh(a["g"])  # lstm.md (3)
    o = sigmoid(a["o"])  # lstm.md (4)
    c = f * c_before + i * g  # lstm.md (5)
    tanh_c = np.tanh(c)
    h = o * tanh_c  # lstm.md (6)
    return LSTMStep(gates, x, h_before, c_before, i, f, g, o, c, tanh_c, h)
