"""The simple recurrent cell (notes A3, A6). Derivation: docs/derivations/rnn.md."""

from dataclasses import dataclass

from throughtime.equations.activations import activate, derivative
from throughtime.equations.arrays import Array, State
from throughtime.equations.gate import Gates
from throughtime.spec.cells import Nonlinearity


@dataclass(frozen=True)
class RNNStep:
    """One step, with all that its backward needs; arrays are (batch, size)."""

    nonlinearity: Nonlinearity
    gates: Gates
    x: Array
    h_before: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d_gates: Gates) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d_gates`."""
        (d_h,) = d_state
        gate, d_gate = self.gates["h"], d_gates["h"]

        delta = derivative(self.nonlinearity, self.h) * d_h  # rnn.md (4)

        d_gate.add_of_input(delta, self.x)  # rnn.md (6), (8)
        d_gate.add_of_hidden(delta, self.h_before)  # rnn.md (7), (9)
        d_x = delta @ gate.weight_ih  # rnn.md (10)
        d_h_before = delta @ gate.weight_hh  # rnn.md (5)
        return d_x, (d_h_before,)


def rnn_step(gates: Gates, x: Array, state: State, nonlinearity: Nonlinearity) -> RNNStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    gate = gates["h"]

    a = gate.of_input(x) + gate.of_hidden(h_before)  # rnn.md (1)
    h = activate(nonlinearity, a)  # rnn.md (2)
    return RNNStep(nonlinearity, gates, x, h_before, h)
