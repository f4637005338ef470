"""Zoneout: units that keep their value of the step before. Derivation: docs/derivations/zoneout-and-dropout.md."""

from dataclasses import dataclass

from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.step import Step, StepFunction


def zone_out(keep: Array | float, before: Array, new: Array) -> Array:
    """`before` where keep is 1, `new` where it is 0; outside of training keep is a share, and mixes them."""
    return keep * before + (1.0 - keep) * new  # zoneout-and-dropout.md (1), (2), (3)


def zone_out_back(keep: Array | float, d: Array) -> tuple[Array, Array]:
    """∂E/∂result → what goes straight to `before`, and ∂E/∂new; zoneout-and-dropout.md (4) to (7)."""
    return keep * d, (1.0 - keep) * d


@dataclass(frozen=True)
class ZoneoutStep:
    """A step of any cell whose h_t is mixed with h_{t-1}; c, where there is one, is the cell's own business."""

    keep: Array | float
    cell: Step
    h: Array

    @property
    def state(self) -> State:
        return (self.h, *self.cell.state[1:])

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t, … → ∂E/∂x_t and ∂E/∂h_{t-1}, …; the parameters' gradients are added to `d`."""
        d_h, *d_rest = d_state
        d_kept, d_new = zone_out_back(self.keep, d_h)  # zoneout-and-dropout.md (4)
        d_x, (d_h_before, *d_rest_before) = self.cell.back((d_new, *d_rest), d)
        return d_x, (d_kept + d_h_before, *d_rest_before)  # zoneout-and-dropout.md (5)


def with_zoneout(step_of: StepFunction) -> StepFunction:
    """The step function whose h_t is zoned out."""

    def step(direction: Direction, x: Array, state: State) -> ZoneoutStep:
        cell = step_of(direction, x, state)
        keep = direction.keep_h
        return ZoneoutStep(keep, cell, zone_out(keep, state[0], cell.state[0]))

    return step
