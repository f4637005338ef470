"""What every cell's step is to the loop over time."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction


class Step(Protocol):
    """One step of any cell, computed, with all that its backward needs."""

    @property
    def state(self) -> State: ...

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂(state) → ∂E/∂x_t and ∂E/∂(the state before); the parameters' gradients are added to `d`."""


StepFunction: TypeAlias = Callable[[Direction, Array, State], Step]
"""(direction at the step, x_t (batch, input_size), the state before) → the step."""
