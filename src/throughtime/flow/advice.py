"""What to do about a verdict: each line stands on a number of the measurement, and says which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from throughtime.flow.gates import GateActivity
from throughtime.flow.verdict import EXPLODING, VANISHING, Verdict


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


def advise(facts: Facts) -> tuple[str, ...]:
    """Lines of advice, the most telling first; one that says so where nothing need be done."""
    match facts.verdict:
        case "exploding":
            return tuple(_against_explosion(facts))
        case "saturated":
            return (_against_saturation(facts), *_for_memory(facts))
        case "vanishing":
            return tuple(_for_memory(facts))
        case _:
            return (f"nothing: gradients pass through all {facts.longest} steps",)


def _against_explosion(facts: Facts) -> list[str]:
    lines = [
        "clip the gradient's norm in training (optimiser.clip_norm, or torch.nn.utils.clip_grad_norm_): a gradient "
        f"grows {facts.growth:.3g}-fold over {facts.growth_lag} steps"
    ]
    if facts.exponent > 0:
        steps = max(1, math.floor(math.log(EXPLODING) / facts.exponent))
        lines.append(
            f"or truncate back-propagation to {steps} steps: at the leading Lyapunov exponent, {facts.exponent:+.3g} a "
            f"step, a gradient has grown {EXPLODING:g}-fold by then"
        )
    if facts.radius > 1:
        lines.append(
            "scale weight_hh down or start it orthogonal (init='orthogonal'): the spectral radius of a step's Jacobian "
            f"is {facts.radius:.3g}, and 1 neither grows nor fades"
        )
    lines.append("layer_norm=True in the cell bounds what the recurrent weights can add up to")
    return lines


def _against_saturation(facts: Facts) -> str:
    shares = ", ".join(f"{gate.name} {gate.saturated:.0%}" for gate in facts.gates)
    return (
        f"bring the activations back from the ends of their range ({shares}): scale the inputs to unit variance, use "
        "layer_norm=True, weight decay or a lower learning rate"
    )


def _for_memory(facts: Facts) -> list[str]:
    gates = {gate.name: gate for gate in facts.gates}
    if "f" in gates:
        return [_open("forget gate f", gates["f"].mean, facts.longest, "forget_bias")]
    if "z" in gates and "r" in gates:  # z keeps the state; of a cell without r, 1 − z does
        return [_open("update gate z", gates["z"].mean, facts.longest, "the update gate's bias")]
    if "z" in gates:
        return [_open("1 − z of the gate z", 1.0 - gates["z"].mean, facts.longest, "minus the bias of z")]
    lines = [f"use a gated cell (LSTM, GRU), which can hold a gradient over {facts.longest} steps"]
    steps = math.log(VANISHING) / math.log(facts.radius) if 0 < facts.radius < 1 else math.inf
    if steps < facts.longest:
        lines.append(
            "start weight_hh orthogonal (init='orthogonal'), or for a relu as the identity (init='identity'): the "
            f"spectral radius of a step's Jacobian is {facts.radius:.3g}, which alone takes a gradient to "
            f"{VANISHING:.0%} in {steps:.0f} steps"
        )
    if any(gate.range == "0..1" for gate in facts.gates):
        lines.append("replace the sigmoid, whose derivative is at most ¼, by tanh, whose derivative reaches 1")
    return lines


def _open(gate: str, mean: float, longest: int, option: str) -> str:
    """Advice to let a gate keep more: how much it keeps, and the bias with which VANISHING would be left in the end."""
    needed = VANISHING ** (1.0 / longest)
    bias = math.ceil(10.0 * math.log(needed / (1.0 - needed))) / 10.0
    return (
        f"open the {gate}, which keeps {mean:.2f} of the state a step on average, {mean**longest:.1e} over {longest} "
        f"steps: start with {option} = {bias:.1f} (a unit then keeps {VANISHING:.0%}), or with "
        f"init=('chrono', {longest})"
    )
