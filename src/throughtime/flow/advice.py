"""What to do about a verdict: each line stands on a number of the measurement, and says which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from throughtime.flow.gates import GateActivity
from throughtime.flow.verdict import EXPLODING, VANISHING, Verdict

DEAD: Final = 0.5
"""Units of a relu count as dead, for advice, when more than this share of the activations is 0."""


@dataclass(frozen=True)
class Facts:
    """The numbers of a direction that advice is drawn from; medians over sequences.

    longest: steps. growth: the highest mean singular value, at lag `growth_lag`. radius: median of the spectral radius
    over the steps. exponent: leading Lyapunov exponent, nats a step.
    """

    verdict: Verdict
    longest: int
    growth: float
    growth_lag: int
    radius: float
    exponent: float
    gates: Sequence[GateActivity]


@dataclass(frozen=True)
class Remedies:
    """What can be changed where a model is made, in the words of that place; None: not there, or done already.

    Attributes:
        clip: bound the step that an exploding gradient takes.
        settle: take activations away from the ends of their range.
        revive: of dead units of a relu.
        gated: what to take in place of a cell without gates, with the {bias} of a gate that keeps.
        truncate: end gradients after so many {steps}.
        shrink: make the recurrent weights smaller.
        normalise: layer normalisation.
        start: recurrent weights that keep the length of a gradient.
        tanh: in place of a sigmoid.
        open: how the gate that keeps can start with a {bias}; forget_bias is that which it started with.
        chrono: how it can start for a memory of up to {steps}; t_max is that which it started with.
        shortcut: lets the loss reach states without the way through time.
    """

    clip: str
    settle: str
    revive: str
    gated: str
    truncate: str | None = None
    shrink: str | None = None
    normalise: str | None = None
    start: str | None = None
    tanh: str | None = None
    open: str | None = None
    forget_bias: float = -math.inf
    chrono: str | None = None
    t_max: int = 0
    shortcut: str | None = None


def advise(facts: Facts, remedies: Remedies) -> tuple[str, ...]:
    """Lines of advice, the most telling first; one that says so where nothing need be done."""
    match facts.verdict:
        case "exploding":
            return tuple(_against_explosion(facts, remedies))
        case "saturated":
            return (_against_saturation(facts, remedies), *_for_memory(facts, remedies))
        case "vanishing":
            return tuple(_for_memory(facts, remedies))
        case _:
            return (f"nothing: gradients pass through all {facts.longest} steps",)


def _against_explosion(facts: Facts, remedies: Remedies) -> list[str]:
    lines = [f"{remedies.clip}: a gradient grows {facts.growth:.3g}-fold over {facts.growth_lag} steps"]
    if facts.exponent > 0 and remedies.truncate is not None:
        steps = max(1, math.floor(math.log(EXPLODING) / facts.exponent))
        if steps < facts.longest:
            lines.append(
                f"or {remedies.truncate.format(steps=steps)}: at the leading Lyapunov exponent, {facts.exponent:+.3g} "
                f"a step, a gradient has grown {EXPLODING:g}-fold by then"
            )
    if facts.radius > 1 and remedies.shrink is not None:
        lines.append(
            f"{remedies.shrink}: the spectral radius of a step's Jacobian is {facts.radius:.3g}, and 1 neither grows "
            "nor fades"
        )
    if remedies.normalise is not None:
        lines.append(f"{remedies.normalise} in the cell bounds what the recurrent weights can add up to")
    return lines


def _against_saturation(facts: Facts, remedies: Remedies) -> str:
    shares = ", ".join(f"{gate.name} {gate.saturated:.0%}" for gate in facts.gates)
    return f"bring the activations back from the ends of their range ({shares}): {remedies.settle}"


def _for_memory(facts: Facts, remedies: Remedies) -> list[str]:
    lines = [
        f"{gate.low:.0%} of the activations of {gate.name} are 0, where a relu's derivative is 0 too: units may be "
        f"dead and pass nothing on: {remedies.revive}"
        for gate in facts.gates
        if gate.range == "0.." and gate.low > DEAD
    ]
    gates = {gate.name: gate for gate in facts.gates}
    if "f" in gates:
        lines.append(_open("forget gate f", gates["f"].mean, facts.longest, remedies))
    elif "z" in gates and "r" in gates:  # z keeps the state; of a cell without r, 1 − z does
        lines.append(_open("update gate z", gates["z"].mean, facts.longest, remedies))
    elif "z" in gates:
        lines.append(_open("1 − z of the gate z", 1.0 - gates["z"].mean, facts.longest, remedies))
    else:
        lines += _without_gates(facts, remedies)
    return lines if remedies.shortcut is None else [*lines, remedies.shortcut]


def _without_gates(facts: Facts, remedies: Remedies) -> list[str]:
    gated = remedies.gated.format(bias=_needed_bias(facts.longest))
    lines = [f"use a gated cell ({gated}), which can hold a gradient over {facts.longest} steps"]
    steps = math.log(VANISHING) / math.log(facts.radius) if 0 < facts.radius < 1 else math.inf
    if steps < facts.longest and remedies.start is not None:
        lines.append(
            f"{remedies.start}: the spectral radius of a step's Jacobian is {facts.radius:.3g}, which alone takes a "
            f"gradient to {VANISHING:.0%} in {steps:.0f} steps"
        )
    if remedies.tanh is not None:
        lines.append(
            f"replace the sigmoid, whose derivative is at most ¼, by tanh ({remedies.tanh}), whose derivative reaches 1"
        )
    return lines


def _open(gate: str, mean: float, longest: int, remedies: Remedies) -> str:
    """Advice to let a gate keep more: how much it keeps, and ways to start it so that VANISHING is left in the end."""
    bias, ways = _needed_bias(longest), []
    if remedies.open is not None and bias > remedies.forget_bias:
        ways.append(f"{remedies.open.format(bias=bias)} (a unit then keeps {VANISHING:.0%})")
    if remedies.chrono is not None and longest > remedies.t_max:
        ways.append(remedies.chrono.format(steps=max(3, longest)))  # chrono takes no fewer
    # Without a way left the gate did start for so long a memory.
    what = " or ".join(ways) or "training has closed it, so lower the learning rate or shorten the sequences"
    return (
        f"open the {gate}, which keeps {mean:.2f} of the state a step on average, {mean**longest:.1e} over {longest} "
        f"steps: {what}"
    )


def _needed_bias(longest: int) -> float:
    """With which a gate keeps VANISHING over so many steps."""
    kept = VANISHING ** (1.0 / longest)
    return math.ceil(10.0 * math.log(kept / (1.0 - kept))) / 10.0
