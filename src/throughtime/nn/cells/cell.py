"""What a cell is, and what several of them share: recurrent products, layer normalisation, zoneout."""

# torch's compiler cannot trace the annotations of inner functions, so they must not be evaluated.
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn.state import State
from throughtime.spec.cells import NORM_EPS

Weights: TypeAlias = tuple[Tensor, ...]
"""Parameters of one direction of one layer, in the order of `spec.cells.direction_shapes`."""

Named: TypeAlias = Mapping[str, Tensor]
"""The same by kind: weight_ih, weight_hh, …; a kind that the options do not have is absent."""

Gates: TypeAlias = dict[str, Tensor]
"""Gate → its activation at one step, (batch, hidden_size)."""

Zone: TypeAlias = tuple[Tensor | None, Tensor | None]
"""Of one step: where h and c keep their values, bool (batch, features); None: the shares mix old and new."""

Step: TypeAlias = Callable[[Tensor, State, Zone], tuple[State, Gates]]

NO_ZONE: Final[Zone] = (None, None)


@dataclass(frozen=True)
class Cell:
    """One direction of one layer as a function of a step.

    project: (…, input) → (…, width): what steps take from their inputs alone, for any number of steps in one call.
    step: (the projected input of one step (batch, width), the state before, its zone) → (the state after, the gates).
        The state is (h,) or (h, c), each (batch, features). Gates are those of `LayerOptions.gates`; the one of RNN and
        IndRNN is φ's value. Those that cells compare or couple are as they act: MinLSTM's f and i sum to 1.
    """

    project: Callable[[Tensor], Tensor]
    step: Step


PHI: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
}


def normalise(a: Tensor, gain: Tensor, bias: Tensor | None = None) -> Tensor:
    """Layer normalisation over the last axis, with its gain and bias."""
    return functional.layer_norm(a, (a.shape[-1],), gain, bias, NORM_EPS)


def projection(parameters: Named, blocks: tuple[int, ...], folded: slice | None) -> Callable[[Tensor], Tensor]:
    """The input's share of pre-activations, W_ih x + b_ih, or with layer normalisation norm_ih ⊙ LN(W_ih x) + b_ih.

    Args:
        blocks: rows that are normalised together; they make up all rows.
        folded: rows whose b_hh is added here, once for all steps, because nothing acts on it in between.
    """
    weight, gain = parameters["weight_ih"], parameters.get("norm_ih")
    bias, recurrent_bias = parameters.get("bias_ih"), parameters.get("bias_hh")
    if bias is not None and recurrent_bias is not None and folded is not None:
        rows = len(bias)
        if folded == slice(0, rows):
            bias = bias + recurrent_bias
        else:
            bias = bias + functional.pad(recurrent_bias[folded], (folded.start, rows - folded.stop))
    if gain is None:
        return lambda x: functional.linear(x, weight, bias)
    gains = torch.split_with_sizes(gain, blocks)
    biases = (None,) * len(blocks) if bias is None else torch.split_with_sizes(bias, blocks)

    def project(x: Tensor) -> Tensor:
        parts = torch.split_with_sizes(functional.linear(x, weight), blocks, dim=-1)
        done = [normalise(part, g, b) for part, g, b in zip(parts, gains, biases, strict=True)]
        return done[0] if len(done) == 1 else torch.cat(done, dim=-1)

    return project


def recurrence(weight: Tensor, gain: Tensor | None) -> Callable[[Tensor, Tensor], Tensor]:
    """(a, h) → a + W h, or with layer normalisation a + gain ⊙ LN(W h)."""
    transposed = weight.t()
    if gain is None:
        return lambda a, h: torch.addmm(a, h, transposed)
    return lambda a, h: a + normalise(torch.mm(h, transposed), gain)


def blend(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """start + share ⊙ (end − start)."""
    if start.dtype == end.dtype == share.dtype:
        return torch.lerp(start, end, share)
    return start + share * (end - start)  # under autocast, where lerp does not promote


def keeping(share: float) -> Callable[[Tensor | None, Tensor, Tensor], Tensor]:
    """Zoneout: (mask, old, new) → old where the mask says so; without a mask, both mixed by the share that keeps."""

    def keep(mask: Tensor | None, old: Tensor, new: Tensor) -> Tensor:
        if mask is not None:
            return torch.where(mask, old, new)
        return new + share * (old - new) if share else new

    return keep


def dropping(mask: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Recurrent dropout: h as it enters W_hh."""
    return (lambda h: h) if mask is None else (lambda h: h * mask)
