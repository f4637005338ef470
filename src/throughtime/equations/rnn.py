"""The simple recurrent cell (notes A3, A6). Derivation: docs/derivations/rnn.md."""

from dataclasses import dataclass

from throughtime.equations.activations import activate, derivative
from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.product import Product
from throughtime.spec.cells import Nonlinearity


@dataclass(frozen=True)
class RNNStep:
    """One step, with all that its backward needs; arrays are (batch, size)."""

    nonlinearity: Nonlinearity
    of_x: Product
    of_h: Product
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d`."""
        (d_h,) = d_state

        delta = {"h": derivative(self.nonlinearity, self.h) * d_h}  # rnn.md (4)

        d_x = self.of_x.back(delta, d)  # rnn.md (6), (8), (10)
        d_h_before = self.of_h.back(delta, d)  # rnn.md (5), (7), (9)
        return d_x, (d_h_before,)


def rnn_step(direction: Direction, x: Array, state: State) -> RNNStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    of_x, of_h = direction.of_input(x), direction.of_hidden(h_before)

    a = of_x["h"] + of_h["h"]  # rnn.md (1)
    h = activate(direction.options.nonlinearity, a)  # rnn.md (2)
    return RNNStep(direction.options.nonlinearity, of_x, of_h, h)
