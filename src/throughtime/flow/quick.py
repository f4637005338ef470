"""The Jacobians ∂s_t/∂s_{t-1} along a few sequences' trajectories, as products with blocks of vectors or in full.

No Jacobian is kept: each is taken afresh where it is needed, by reverse mode (`pull`), reverse mode twice (`push`) or
in full (`full`). Steps are numbered from the end: step 0 is a sequence's last, whatever its length.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from throughtime.flow.steps import DirectionSteps
from throughtime.flow.trace import DirectionTrace

_ROWS_AT_ONCE: Final = 4096
"""Rows that go through a step together where a full Jacobian is taken: bounds memory."""


@dataclass(frozen=True)
class Chain:
    """Trajectories aligned at their ends, the longest sequence first.

    drive: (steps, rows, …), the input's share of step j from the end. before: (steps, rows, size), the state before it.
    lengths: (rows,) falling; what stands past a row's length means nothing.
    """

    steps: DirectionSteps
    drive: Tensor
    before: Tensor
    lengths: tuple[int, ...]

    @staticmethod
    def of(trace: DirectionTrace, sequences: int) -> "Chain":
        """Of the `sequences` longest sequences; of equally long ones, of some that lie evenly over the batch."""
        ties = int((trace.lengths == trace.lengths[0]).sum())
        chosen = torch.arange(min(sequences, len(trace.lengths)))
        if ties > sequences:  # segments of texts: not all of one text
            chosen = chosen * ties // sequences
        lengths = trace.lengths[chosen]
        rows = torch.arange(len(lengths))
        from_start = (lengths - 1 - torch.arange(int(lengths[0])).unsqueeze(1)).clamp(min=0)
        drive, before = (
            torch.nn.utils.rnn.pad_sequence([step[chosen[chosen < len(step)]] for step in steps])[rows, from_start]
            for steps in (trace.drive, trace.before)
        )
        return Chain(trace.steps, drive, before, tuple(int(length) for length in lengths))

    @property
    def size(self) -> int:
        return self.steps.size

    def rows(self, j: int) -> int:
        """Sequences that have a step j from the end: the first ones."""
        return sum(length > j for length in self.lengths)

    def pull(self, block: Tensor, j: int) -> Tensor:
        """Each vector u of `block` (rows, vectors, size) through step j: Jᵀu, that is ∂(uᵀs_t)/∂s_{t-1}."""
        rows, vectors, _ = block.shape
        with torch.enable_grad():
            before = self._each(self.before[j, :rows], vectors).requires_grad_()
            after = self.steps.advance_joined(self._each(self.drive[j, :rows], vectors), before)
            (pulled,) = torch.autograd.grad(after, before, block.flatten(0, 1))
        return pulled.view(block.shape)

    def push(self, block: Tensor, j: int) -> Tensor:
        """Each vector v of `block` (rows, vectors, size) through step j: Jv, how s_t moves where s_{t-1} moves by v."""
        rows, vectors, _ = block.shape
        # J v = d(Jᵀu · v)/du, whatever u is. Forward mode gives the same and takes longer on steps as small as these.
        with torch.enable_grad():
            before = self._each(self.before[j, :rows], vectors).requires_grad_()
            after = self.steps.advance_joined(self._each(self.drive[j, :rows], vectors), before)
            any_u = torch.zeros_like(after, requires_grad=True)
            (pulled,) = torch.autograd.grad(after, before, any_u, create_graph=True)
            (pushed,) = torch.autograd.grad(pulled, any_u, block.flatten(0, 1))
        return pushed.view(block.shape)

    def full(self, j: int, rows: int | None = None) -> Tensor:
        """(rows, size, size): ∂s_t/∂s_{t-1} at step j of the first `rows` sequences (None: of all that have it)."""
        rows = self.rows(j) if rows is None else rows
        unit = torch.eye(self.size, dtype=torch.float64)
        parts = torch.split(unit, max(1, _ROWS_AT_ONCE // rows))
        return torch.cat([self.pull(part.expand(rows, -1, -1), j) for part in parts], dim=1)

    @staticmethod
    def _each(rows: Tensor, vectors: int) -> Tensor:
        return rows.repeat_interleave(vectors, dim=0)
