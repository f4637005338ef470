"""From numbers to a word: what the flow of gradients through a direction is like, and by which threshold.

Nothing here knows the cell's name: it reads norms and gates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughtime.flow.gates import NEAR, GateActivity
from throughtime.flow.memory import memory_length
from throughtime.flow.spread import Array

Verdict: TypeAlias = Literal["healthy", "vanishing", "saturated", "exploding"]
WORST_LAST: Final[tuple[Verdict, ...]] = ("healthy", "vanishing", "saturated", "exploding")

VANISHING: Final = 0.01
"""Gradients vanish when the norm of ∂s_T/∂s_{T-k} is below this at the longest lag that is judged: not even the
direction that is kept best keeps 1 % of its gradient over the whole sequence."""
EXPLODING: Final = 100.0
"""Gradients explode when the mean singular value of ∂s_T/∂s_{T-k} is above this at some lag: one of random direction
grows a hundredfold. (The norm is no measure of that: one direction of many may grow at first, and then stay. But many
units that keep nothing hide one that explodes: it counts by the root of its share.)"""
SATURATED: Final = 0.5
"""Gradients that vanish do so by saturation when, of every gate and candidate, more than this share of the activations
stands within `flow.gates.NEAR` of an end of its range."""

_LONGEST: Final = "the longest lag that half of the sequences reach"


@dataclass(frozen=True)
class Finding:
    """A verdict, and in words the numbers and the threshold that it comes from."""

    verdict: Verdict
    reason: str


def find(lags: NDArray[np.int64], norm: Array, mean: Array, gates: Sequence[GateActivity]) -> Finding:
    """The verdict on one direction.

    Args:
        lags: (lags,), from 0 to the longest that is judged: that at least half of the sequences reach.
        norm, mean: (lags,), median over sequences of the largest and of the mean singular value of ∂s_T/∂s_{T-k}.
    """
    longest, at_end = int(lags[-1]), float(norm[-1])
    highest = int(np.argmax(mean))
    if mean[highest] > EXPLODING:
        return Finding(
            "exploding",
            f"the mean singular value of ∂s_T/∂s_(T−k) reaches {mean[highest]:.3g} at lag {lags[highest]} "
            f"(threshold: {EXPLODING:g})",
        )
    if at_end >= VANISHING:
        return Finding(
            "healthy",
            f"the norm of ∂s_T/∂s_(T−k) is {at_end:.3g} at {_LONGEST}, {longest} (vanishing: < {VANISHING:g}); "
            f"the mean singular value is at most {mean[highest]:.3g} (exploding: > {EXPLODING:g})",
        )
    gone = memory_length(lags, norm, VANISHING)
    reason = (
        f"the norm of ∂s_T/∂s_(T−k) stays below {VANISHING:.0%} from lag {gone:.3g} on, of {longest} "
        f"(it is {at_end:.1e} at the end; threshold: {VANISHING:.0%} at {_LONGEST})"
    )
    least = min((gate.saturated for gate in gates), default=0.0)
    if least > SATURATED:
        names = ", ".join(gate.name for gate in gates)
        return Finding(
            "saturated",
            f"{reason}, and of the activations of {names} at least {least:.0%} stand within {NEAR:g} of an end of "
            f"their range (threshold: {SATURATED:.0%})",
        )
    return Finding("vanishing", reason)


def thresholds() -> dict[str, Any]:
    """All numbers that a verdict depends on, by name."""
    return {"vanishing": VANISHING, "exploding": EXPLODING, "saturated": SATURATED, "near_an_end": NEAR}
