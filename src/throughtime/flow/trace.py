"""A stack run once more in float64, step by step, with every state kept: what all measurements start from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from throughtime.flow.steps import DirectionSteps, direction_steps
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import OptionError


@dataclass(frozen=True)
class DirectionTrace:
    """What one direction of one layer went through, in its own order of time, the longest sequence first.

    A step holds those sequences that have it, which are the first rows: nothing is computed for padding.

    lengths: (batch,) int64, falling.
    drive: an entry a step, (rows, …): what the input adds to it; no graph.
    states: an entry a step and one before: states[0] (batch, …) is before the first step, states[t] (rows, …) the one
        that step t - 1 of `drive` leads to; with the graph of `run`.
    """

    steps: DirectionSteps
    lengths: Tensor
    drive: list[Tensor]
    states: list[State]

    @cached_property
    def before(self) -> list[Tensor]:
        """An entry a step, (rows, size): the state before it, its parts side by side; no graph."""
        return [
            torch.cat([part[: len(drive)] for part in state], dim=-1).detach()
            for drive, state in zip(self.drive, self.states, strict=False)  # nothing comes after the last state
        ]


@dataclass(frozen=True)
class Trace:
    """Result of `run`, in the batch's own order. output: (seq_len, batch, features), 0 in the padding.

    after: one state a layer, each part (num_directions, batch, features), after the last real steps.
    """

    directions: list[DirectionTrace]
    output: Tensor
    after: list[State]


def run(
    options: LayerOptions,
    weights: Sequence[Sequence[Tensor]],
    x: Tensor,
    states: Sequence[State],
    ragged: Ragged | None,
) -> Trace:
    """All layers over x (seq_len, batch, input_size), float64 on the CPU, with the graph from the first states on.

    Args:
        weights: the parameters of each direction of each layer, as a layer's `all_weights` gives them.
        states: one a layer, before the first step.
        ragged: lengths, where not every sequence fills x.
    Raises:
        OptionError: a weight, an input or a state that comes up is not finite: there is nothing to measure.
    """
    seq_len, batch = x.shape[:2]
    lengths = torch.full((batch,), seq_len) if ragged is None else ragged.lengths
    order = torch.argsort(lengths, descending=True, stable=True)
    output = x if ragged is None else ragged.clear(x)
    require_finite("the input", [output])
    traces: list[DirectionTrace] = []
    after: list[State] = []
    for layer in range(options.num_layers):
        outputs: list[Tensor] = []
        ends: list[State] = []
        for direction in range(options.num_directions):
            own = weights[layer * options.num_directions + direction]
            require_finite(f"a weight of layer {layer}", own)
            steps = direction_steps(options, layer, direction == 1, own)
            start = tuple(part[direction].detach().to("cpu", torch.float64)[order] for part in states[layer])
            turned = _turned(output, ragged) if steps.reverse else output
            trace = _run_direction(steps, turned[:, order], start, lengths[order])
            h, end = _in_order(trace, seq_len, torch.argsort(order))
            traces.append(trace)
            outputs.append(_turned(h, ragged) if steps.reverse else h)
            ends.append(end)
        output = torch.cat(outputs, dim=2)
        after.append(tuple(torch.stack(part) for part in zip(*ends, strict=True)))
    return Trace(traces, output, after)


def _run_direction(steps: DirectionSteps, x: Tensor, start: State, lengths: Tensor) -> DirectionTrace:
    projected = steps.cell.project(x)
    drive: list[Tensor] = []
    states = [tuple(part.requires_grad_() for part in start)]
    for t in range(int(lengths[0])):
        rows = int((lengths > t).sum())
        share = projected[t, :rows]
        states.append(steps.advance(share, tuple(part[:rows] for part in states[-1])))
        drive.append(share.detach())
        require_finite(f"the state of layer {steps.layer} after {t + 1} steps", states[-1])
    return DirectionTrace(steps, lengths, drive, states)


def _in_order(trace: DirectionTrace, seq_len: int, back: Tensor) -> tuple[Tensor, State]:
    """h (seq_len, batch, features), 0 in the padding, and the state after each sequence's last step (batch, …)."""
    batch = len(trace.lengths)
    padded = [torch.nn.functional.pad(state[0], (0, 0, 0, batch - len(state[0]))) for state in trace.states[1:]]
    padded += [torch.zeros_like(padded[0])] * (seq_len - len(padded))
    finished = [0, *(len(state[0]) for state in reversed(trace.states[1:]))]
    ends = tuple(
        torch.cat([part[done:] for part, done in zip(reversed(parts), finished, strict=False)])
        for parts in zip(*trace.states[1:], strict=True)
    )
    return torch.stack(padded)[:, back], tuple(end[back] for end in ends)


def _turned(array: Tensor, ragged: Ragged | None) -> Tensor:
    """Each sequence in reverse order, its padding left behind it."""
    return array.flip(0) if ragged is None else ragged.flip(array)


def require_finite(name: str, tensors: Sequence[Tensor], *, give: str = "an input without such values") -> None:
    """Raises:
    OptionError: one of `tensors` is not. give: what to do where weights are not the cause.
    """
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise OptionError(
            f"{name} is not finite (NaN or infinite), so no gradient can be measured; go back to weights from before "
            f"that, or give {give}"
        )
