"""The Jacobians ∂s_t/∂s_{t-1} along a few sequences' trajectories, as products with blocks of vectors or in full.

Where all Jacobians together are small they are taken once and kept, and a product is one with a matrix. Else none is
kept: a product is taken by reverse mode (`pull`) or reverse mode twice (`push`). Steps are numbered from the end: step
0 is a sequence's last, whatever its length.
"""

from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from throughtime.flow.steps import DirectionSteps
from throughtime.flow.trace import DirectionTrace

_ROWS_AT_ONCE: Final = 4096
"""Rows that go back through a step together where a full Jacobian is taken: bounds memory."""
KEPT_BYTES: Final = 256 << 20
"""Jacobians of a chain are kept up to so much."""


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
    _kept: dict[int, Tensor] = field(init=False, default_factory=dict, repr=False, compare=False)

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

    @property
    def keeps(self) -> bool:
        """Whether Jacobians are kept."""
        return sum(self.lengths) * self.size**2 * self.before.element_size() <= KEPT_BYTES

    def pull(self, block: Tensor, j: int) -> Tensor:
        """Each vector u of `block` (rows, vectors, size) through step j: Jᵀu, that is ∂(uᵀs_t)/∂s_{t-1}."""
        return block @ self.full(j)[: len(block)] if self.keeps else self._pulled(block, j)

    def _pulled(self, block: Tensor, j: int) -> Tensor:
        with torch.enable_grad():
            before, after = self._step(j, len(block))
            # All vectors go back through one step forward.
            (pulled,) = torch.autograd.grad(after, before, block.transpose(0, 1), is_grads_batched=True)
        return pulled.transpose(0, 1)

    def push(self, block: Tensor, j: int) -> Tensor:
        """Each vector v of `block` (rows, vectors, size) through step j: Jv, how s_t moves where s_{t-1} moves by v."""
        if self.keeps:
            return block @ self.full(j)[: len(block)].mT
        # J v = d(Jᵀu · v)/du, whatever u is. Forward mode gives the same and takes longer on steps as small as these.
        with torch.enable_grad():
            before, after = self._step(j, len(block))
            any_u = torch.zeros_like(after, requires_grad=True)
            (pulled,) = torch.autograd.grad(after, before, any_u, create_graph=True)
            (pushed,) = torch.autograd.grad(pulled, any_u, block.transpose(0, 1), is_grads_batched=True)
        return pushed.transpose(0, 1)

    def full(self, j: int) -> Tensor:
        """(rows, size, size): ∂s_t/∂s_{t-1} at step j of all sequences that have it."""
        if j in self._kept:
            return self._kept[j]
        rows, unit = self.rows(j), torch.eye(self.size, dtype=torch.float64)
        parts = torch.split(unit, max(1, _ROWS_AT_ONCE // rows))
        jacobian = torch.cat([self._pulled(part.expand(rows, -1, -1), j) for part in parts], dim=1)
        if self.keeps:
            self._kept[j] = jacobian
        return jacobian

    def _step(self, j: int, rows: int) -> tuple[Tensor, Tensor]:
        """States before and after step j of the first `rows` sequences, with a graph between them."""
        before = self.before[j, :rows].clone().requires_grad_()
        return before, self.steps.advance_joined(self.drive[j, :rows], before)
