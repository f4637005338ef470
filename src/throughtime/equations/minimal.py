"""MinGRU and MinLSTM: gates that see the input alone. Derivation: docs/derivations/minimal-cells.md."""

from dataclasses import dataclass

from throughtime.equations.activations import d_sigmoid, log_sigmoid, sigmoid
from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.product import Product


@dataclass(frozen=True)
class MinGRUStep:
    """One step, with all that its backward needs; arrays are (batch, hidden_size)."""

    of_x: Product
    h_before: Array
    z: Array
    n: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d`."""
        (d_h,) = d_state

        delta = {
            "z": d_h * (self.n - self.h_before) * d_sigmoid(self.z),  # minimal-cells.md (4)
            "n": d_h * self.z,  # minimal-cells.md (5)
        }
        d_h_before = d_h * (1.0 - self.z)  # minimal-cells.md (6)
        return self.of_x.back(delta, d), (d_h_before,)  # minimal-cells.md (14), (15)


def min_gru_step(direction: Direction, x: Array, state: State) -> MinGRUStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    of_x = direction.of_input(x)

    z = sigmoid(of_x["z"])  # minimal-cells.md (1)
    n = of_x["n"]  # minimal-cells.md (2)
    h = (1.0 - z) * h_before + z * n  # minimal-cells.md (3)
    return MinGRUStep(of_x, h_before, z, n, h)


@dataclass(frozen=True)
class MinLSTMStep:
    """One step, with all that its backward needs; arrays are (batch, hidden_size).

    f, i: as the sigmoids give them. forget, write: the same as shares of their sum, f' and i'.
    """

    of_x: Product
    h_before: Array
    f: Array
    i: Array
    n: Array
    forget: Array
    write: Array
    h: Array

    @property
    def state(self) -> State:
        return (self.h,)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t → ∂E/∂x_t and ∂E/∂h_{t-1}; the parameters' gradients are added to `d`."""
        (d_h,) = d_state

        d_balance = d_h * (self.h_before - self.n) * self.forget * self.write  # minimal-cells.md (10)
        delta = {
            "f": d_balance * (1.0 - self.f),  # minimal-cells.md (11)
            "i": -d_balance * (1.0 - self.i),  # minimal-cells.md (12)
            "n": d_h * self.write,  # minimal-cells.md (13), first part
        }
        d_h_before = d_h * self.forget  # minimal-cells.md (13), second part
        return self.of_x.back(delta, d), (d_h_before,)  # minimal-cells.md (14), (15)


def min_lstm_step(direction: Direction, x: Array, state: State) -> MinLSTMStep:
    """h_t from x_t (batch, input_size) and (h_{t-1},)."""
    (h_before,) = state
    of_x = direction.of_input(x)

    f, i = sigmoid(of_x["f"]), sigmoid(of_x["i"])  # minimal-cells.md (7)
    n = of_x["n"]  # minimal-cells.md (2)
    odds = log_sigmoid(of_x["f"]) - log_sigmoid(of_x["i"])
    forget, write = sigmoid(odds), sigmoid(-odds)  # minimal-cells.md (8)
    h = forget * h_before + write * n  # minimal-cells.md (9)
    return MinLSTMStep(of_x, h_before, f, i, n, forget, write, h)
