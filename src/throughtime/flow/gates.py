"""How many activations of each gate stand at an end of their range, where their derivative is next to nothing."""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from throughtime.flow.steps import Range
from throughtime.flow.trace import DirectionTrace

NEAR: Final = 0.05
"""An activation counts as saturated when it is within this of an end of its range: at most 0.05 of sigmoid's 0..1 has a
derivative of 0.0475, of its largest 0.25; of tanh's -1..1, 0.0975 of 1."""
_ROWS_AT_ONCE: Final = 1 << 14


@dataclass(frozen=True)
class GateActivity:
    """One gate, or candidate, over all real steps, sequences and units.

    range: "0..1", "-1..1", "0.." (relu) or "any". low, high: shares of activations within NEAR of that end; of a relu,
    low is the share that is exactly 0; 0 where there is no end. mean: of the activations.
    """

    name: str
    range: Range
    low: float
    high: float
    mean: float

    @property
    def saturated(self) -> float:
        """Share at either end of a range that has two; 0 for others.

        What has no end ("any") has a derivative that never fades. A relu's is exactly 0 where the relu is: such dead
        units count in `low`, and have advice of their own.
        """
        return self.low + self.high if self.range in ("0..1", "-1..1") else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {"range": self.range, "low": self.low, "high": self.high, "mean": self.mean}


@torch.no_grad()
def gate_activity(trace: DirectionTrace) -> tuple[GateActivity, ...]:
    """Of every gate of a direction, in the cell's order."""
    drive, before = torch.cat(trace.drive), torch.cat(trace.before)
    sums: dict[str, Tensor] = {}
    for rows in range(0, len(drive), _ROWS_AT_ONCE):
        part = slice(rows, rows + _ROWS_AT_ONCE)
        for name, value in trace.steps.gates(drive[part], before[part]).items():
            low, high = _at_ends(value, trace.steps.ranges[name])
            found = torch.stack([low.sum(), high.sum(), value.sum(), torch.tensor(value.numel())]).double()
            sums[name] = sums.get(name, torch.zeros(4, dtype=torch.float64)) + found
    return tuple(
        GateActivity(name, trace.steps.ranges[name], *(float(found / total[3]) for found in total[:3]))
        for name, total in sums.items()
    )


def _at_ends(value: Tensor, reach: Range) -> tuple[Tensor, Tensor]:
    nowhere = torch.zeros_like(value, dtype=torch.bool)
    if reach == "0..":
        return value <= 0, nowhere
    if reach == "any":
        return nowhere, nowhere
    start = 0.0 if reach == "0..1" else -1.0
    return value <= start + NEAR, value >= 1.0 - NEAR
