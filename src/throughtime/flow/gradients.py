"""Norms of ∂L/∂h_t and ∂L/∂c_t, for each sequence, against the steps that lie between t and the sequence's end."""

from collections.abc import Sequence

import torch
from torch import Tensor

from throughtime.flow.trace import DirectionTrace


def gradient_norms(
    loss: Tensor, traces: Sequence[DirectionTrace], *, keep_graph: bool = False
) -> list[list[list[Tensor]]]:
    """For each direction, each part of its state (h, or h and c), each distance 0, 1, …: one norm a sequence.

    A derivative is the total one: what the loss takes from the state itself, and through all later steps and layers.
    Distance 0 is a sequence's last step in the direction's own order; a distance has the sequences that are long
    enough. What overflows on its way back is infinite. Parameters' gradients are not touched. keep_graph: another loss
    on the same traces is to follow.
    """
    tensors = [part for trace in traces for state in trace.states[1:] for part in state]
    found = torch.autograd.grad(loss, tensors, allow_unused=True, retain_graph=keep_graph)
    norms = iter(
        torch.zeros(len(part), dtype=torch.float64) if gradient is None else _norm(gradient)
        for part, gradient in zip(tensors, found, strict=True)
    )
    result = []
    for trace in traces:
        parts: list[list[Tensor]] = [[] for _ in trace.steps.sizes]
        for _ in trace.states[1:]:
            for part in parts:
                part.append(next(norms))
        result.append([_from_end(part, trace.lengths) for part in parts])
    return result


def _norm(vectors: Tensor) -> Tensor:
    """(rows, features) → (rows,). Squares of entries as they are would be 0 below 1e-162 and infinite above 1e154."""
    largest = vectors.abs().amax(-1)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    # Where the loss's own gradient is finite, NaN comes of infinity times 0 only: the gradient overflowed before.
    norm: Tensor = (vectors / largest.unsqueeze(-1)).norm(dim=-1) * largest
    return norm.nan_to_num(nan=torch.inf, posinf=torch.inf)


def _from_end(norms: Sequence[Tensor], lengths: Tensor) -> list[Tensor]:
    """An entry a step, (rows,) → an entry a distance from each sequence's own end, (rows,)."""
    padded = torch.nn.utils.rnn.pad_sequence(list(norms))  # (rows, steps): the first step has the most rows
    by_distance = []
    for distance in range(len(norms)):
        rows = int((lengths > distance).sum())
        by_distance.append(padded[torch.arange(rows), lengths[:rows] - 1 - distance])
    return by_distance
