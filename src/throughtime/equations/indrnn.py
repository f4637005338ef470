"""The independently recurrent cell. Derivation: docs/derivations/indrnn.md."""

from dataclasses import dataclass

from throughtime.equations.activations import activate, derivative
from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.product import Product
from throughtime.spec.cells import Nonlinearity


@dataclass(frozen=True)
class IndRNNStep:
    """One step, with all that its backward needs; arrays are (batch, hidden_size), weight_hh (hidden_size,)."""

    nonlinearity: Nonlinearity
    weight_hh: Array
    of_x: Product
    h_before: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d`."""
        (d_h,) = d_state

        delta = derivative(self.nonlinearity, self.h) * d_h  # indrnn.md (2)
        d["weight_hh"][...] += (delta * self.h_before).sum(axis=0)  # indrnn.md (4)
        d_h_before = self.weight_hh * delta  # indrnn.md (3)
        return self.of_x.back({"h": delta}, d), (d_h_before,)  # indrnn.md (5)


def indrnn_step(direction: Direction, x: Array, state: State) -> IndRNNStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    of_x, weight_hh = direction.of_input(x), direction.parameters["weight_hh"]

    h = activate(direction.options.nonlinearity, of_x["h"] + weight_hh * h_before)  # indrnn.md (1)
    return IndRNNStep(direction.options.nonlinearity, weight_hh, of_x, h_before, h)
