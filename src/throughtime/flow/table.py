"""A measurement as plain text: a block for each direction, then the verdict and advice."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.flow.gates import GateActivity
from throughtime.flow.spread import Array, Spread

if TYPE_CHECKING:
    from throughtime.flow.result import DirectionFlow, GradientFlow

_NAME: Final = 20
_CELL: Final = 9
_NUMBERS: Final = 9


def text(flow: "GradientFlow") -> str:
    """All of it, in lines of at most about 110 characters but for the reasons and advice; ends without a newline."""
    head = [
        f"gradient flow through time: {flow.model}",
        f"{flow.sequences:,} sequences of up to {flow.seq_len:,} steps; norms of Jacobians: medians over the "
        f"{flow.jacobian_sequences} longest",
        f"loss: {flow.loss} = {flow.loss_value:.4g}",
        *(f"note: {note}" for note in flow.notes),
    ]
    blocks = [head, *(_direction(direction) for direction in flow.directions)]
    blocks.append([f"verdict: {flow.verdict} ({flow.worst.name}): {flow.reason}"])
    blocks.append([*(f"advice: {line}" for line in flow.advice)])
    return "\n\n".join("\n".join(block) for block in blocks)


def _direction(flow: "DirectionFlow") -> list[str]:
    longest = int(flow.lags[-1])
    shown = sorted({0, *(2**power for power in range(longest.bit_length()) if 2**power <= longest), longest})
    while len(shown) > _NUMBERS:
        del shown[2:-1:2]
    lines = [f"{flow.name}: {flow.finding.verdict}", _row("lag k", [f"{lag:,}" for lag in shown])]
    sequences = [int(flow.norm.count[np.searchsorted(flow.lags, lag)]) for lag in shown]
    judged = flow.facts.longest
    if sequences[-1] < sequences[0]:
        lines.append(_row("sequences", [str(count) for count in sequences]))
    lines.append(_row("‖∂s_T/∂s_(T−k)‖", _at(flow.norm, flow.lags, shown)))
    lines.append(_row("mean singular value", _at(flow.mean, flow.lags, shown)))
    if flow.loss_to_c is not None:
        lines.append(_row("‖∂h_T/∂h_(T−k)‖", _at(flow.norm_h, flow.lags, shown)))
    lines.append(_row("‖∂L/∂h_(T−k)‖", _at(flow.loss_to_h, flow.distance, shown)))
    if flow.loss_to_c is not None:
        lines.append(_row("‖∂L/∂c_(T−k)‖", _at(flow.loss_to_c, flow.distance, shown)))
    memory = ", ".join(
        f"{level} from lag {lag:.3g} on" if lag is not None else f"{level} not within {judged} steps"
        for level, lag in flow.memory.items()
    )
    radius = flow.spectral_radius.median
    exponents = "  ".join(f"{value:+.3g}" for value in flow.lyapunov.median)
    if judged < longest:
        lines.append(f"lags above {judged:,} have fewer than half of the sequences, and no part in memory and verdict")
    lines += [
        f"{'memory length':<{_NAME}}  {memory}",
        f"{'spectral radius':<{_NAME}}  {np.median(radius):.3g} (from {radius.min():.3g} to {radius.max():.3g})",
        f"{'Lyapunov exponents':<{_NAME}}  {exponents}  nats a step",
        *(f"{'gate ' + gate.name:<{_NAME}}  {_gate(gate)}" for gate in flow.gates),
    ]
    return lines


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _at(spread: Spread, places: NDArray[np.int64], shown: Sequence[int]) -> list[str]:
    """The median at each of `shown`; at a lag that was left out, between its neighbours by their logarithms."""
    known = spread.median
    cells = []
    for lag in shown:
        if lag > places[-1]:
            cells.append("–")
        else:
            cells.append(f"{_between(places, known, lag):.3g}")
    return cells


def _between(places: NDArray[np.int64], known: Array, place: int) -> float:
    after = int(np.searchsorted(places, place))
    if places[after] == place or known[after - 1] <= 0 or known[after] <= 0:
        return float(known[after])
    share = (place - places[after - 1]) / (places[after] - places[after - 1])
    return float(known[after - 1] ** (1 - share) * known[after] ** share)


def _gate(gate: GateActivity) -> str:
    if gate.range == "any":
        return f"mean {gate.mean:.2f}, of any value"
    if gate.range == "0..":
        return f"mean {gate.mean:.2f}, {gate.low:.0%} at 0"
    low, high = gate.range.split("..")
    return f"mean {gate.mean:.2f}, {gate.low:.0%} near {low}, {gate.high:.0%} near {high}"
