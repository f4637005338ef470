"""Recomputation through time: training keeps the state every so many steps, and computes the steps between anew.

Backward needs each step's gates, several times the size of the output. Instead of keeping those of all steps, a layer
keeps its state at the beginning of each stretch of √T steps; its backward pass goes from the last stretch to the first,
runs it again, now keeping what it needs, and goes back through it. That costs a second forward pass and memory for √T
states and √T steps. What stays whole is the layer's input and output and their gradients.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"; through time, Gruslys et al. 2016.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn.acting import of_direction, of_layer
from throughtime.nn.cells import Weights
from throughtime.nn.lengths import Ragged
from throughtime.nn.masks import LayerMasks
from throughtime.nn.one_layer import RunLayer
from throughtime.nn.prepared import Prepared
from throughtime.nn.state import State
from throughtime.nn.stretches import Stretches
from throughtime.spec.cells import LayerOptions


def run_stack(
    run: RunLayer, prepared: Prepared, x: Tensor, states: Sequence[State], ragged: Ragged | None, segment: int | None
) -> tuple[Tensor, list[State]]:
    """All layers over padded (seq_len, batch, input_size), each recomputed by itself.

    Args:
        segment: steps of a stretch; None: √seq_len.
    """
    ends: list[State] = []
    for layer, weights in enumerate(prepared.weights):
        if layer and prepared.dropout:
            x = functional.dropout(x, prepared.dropout, prepared.training)
        job = _Job(
            run,
            prepared.options,
            layer,
            None if prepared.masks is None else prepared.masks[layer],
            [Stretches(ragged, x.shape[0], x.shape[1], d == 1) for d in range(prepared.options.num_directions)],
            segment or math.isqrt(x.shape[0] - 1) + 1,
            torch.is_autocast_enabled(x.device.type),
            torch.get_autocast_dtype(x.device.type),
        )
        x, *end = _Recomputed.apply(job, x, *states[layer], *chain.from_iterable(weights))  # type: ignore[no-untyped-call]
        ends.append(tuple(end))
    return x, ends


@dataclass(frozen=True)
class _Job:
    """One layer, less what is differentiated."""

    run: RunLayer
    options: LayerOptions
    layer: int
    masks: LayerMasks | None
    stretches: Sequence[Stretches]
    segment: int
    autocast: bool
    autocast_dtype: torch.dtype

    @property
    def ragged(self) -> Ragged | None:
        return self.stretches[0].ragged

    def bounds(self) -> list[tuple[int, int]]:
        """(start, stop) of the stretches, alike in both directions."""
        longest = self.stretches[0].longest
        return [(start, min(start + self.segment, longest)) for start in range(0, longest, self.segment)]

    def split(self, tensors: Sequence[Tensor]) -> tuple[State, list[Weights]]:
        """States and weights by direction."""
        parts = 2 if self.options.has_cell_state else 1
        flat, directions = tensors[parts:], self.options.num_directions
        count = len(flat) // directions
        return tuple(tensors[:parts]), [tuple(flat[d * count : (d + 1) * count]) for d in range(directions)]

    def run_stretch(
        self, direction: int, weights: Weights, x: Tensor, state: State, start: int, stop: int
    ) -> tuple[Tensor, State]:
        """One direction over one stretch, from the state of the sequences that reach into it."""
        stretches = self.stretches[direction]
        masks = None if self.masks is None else [stretches.masks(self.masks[direction], start, stop)]
        options = of_direction(self.options, self.layer)
        with torch.autocast(x.device.type, dtype=self.autocast_dtype, enabled=self.autocast):
            return self.run(options, [weights], x, state, stretches.lengths(start, stop), masks, False)

    def run_whole(self, weights: Sequence[Weights], x: Tensor, state: State) -> tuple[Tensor, State]:
        """The layer at once, differentiable in every way."""
        lengths = None if self.ragged is None else self.ragged.lengths
        options = of_layer(self.options, self.layer)
        with torch.autocast(x.device.type, dtype=self.autocast_dtype, enabled=self.autocast):
            return self.run(options, weights, x, state, lengths, self.masks, True)


class _Recomputed(torch.autograd.Function):
    """Output and state after of one layer; arguments: job, x, the parts of the state, the weights of each direction."""

    @staticmethod
    def forward(ctx: Any, job: _Job, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        state, weights = job.split(others)
        features = job.options.output_features(job.layer)
        y: Tensor | None = None
        # In one piece each: small pieces between those that come and go would keep the heap from using its holes again.
        bounds = job.bounds()
        kept = [part.new_empty(len(bounds), *part.shape) for part in state]
        ends: list[State] = []
        for direction, stretches in enumerate(job.stretches):
            now = stretches.sort([part[direction : direction + 1] for part in state])
            columns = slice(direction * features, (direction + 1) * features)
            for place, (start, stop) in enumerate(bounds):
                for whole, part in zip(kept, now, strict=True):
                    whole[place, direction : direction + 1] = part
                before = stretches.first(now, start)
                part_of_x = stretches.take(x, start, stop)
                part_of_y, after = job.run_stretch(direction, weights[direction], part_of_x, before, start, stop)
                if y is None:
                    y = part_of_y.new_empty(*x.shape[:2], features * len(job.stretches))
                    y = y if job.ragged is None else y.zero_()
                stretches.put(y[..., columns], part_of_y, start, stop)
                now = stretches.replace_first(now, after)
            ends.append(stretches.unsort(now))
        assert y is not None
        ctx.job = job
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, *others, *kept)
        return y, *(torch.cat(part) for part in zip(*ends, strict=True))

    @staticmethod
    def backward(ctx: Any, d_y: Tensor | None, *d_end: Tensor | None) -> tuple[Any, ...]:
        job: _Job = ctx.job
        needs: Sequence[bool] = ctx.needs_input_grad[1:]
        x, *saved = ctx.saved_tensors
        others, kept = saved[: len(needs) - 1], saved[len(needs) - 1 :]
        if torch.is_grad_enabled():
            return None, *_differentiable_backward(job, x, others, needs, (d_y, *d_end))
        state, weights = job.split(others)
        d_x = (x.new_empty if job.ragged is None else x.new_zeros)(x.shape) if needs[0] else None
        d_starts: list[State] = []
        d_weights: list[Tensor] = []
        wanted = needs[1 + len(state) :]
        for direction, own in enumerate(weights):
            count = len(own)
            d_start, d_own = _backward_through(
                job,
                direction,
                own,
                wanted[direction * count : (direction + 1) * count],
                x,
                [part[:, direction : direction + 1] for part in kept],
                d_y,
                [
                    torch.zeros_like(part[:1]) if d is None else d[direction : direction + 1]
                    for part, d in zip(state, d_end, strict=True)
                ],
                d_x,
            )
            d_starts.append(d_start)
            d_weights.extend(d_own)
        d_state = [torch.cat(part) for part in zip(*d_starts, strict=True)]
        found = iter(d_weights)
        return None, d_x, *d_state, *(next(found) if want else None for want in wanted)


def _backward_through(
    job: _Job,
    direction: int,
    weights: Weights,
    wanted: Sequence[bool],
    x: Tensor,
    kept: Sequence[Tensor],
    d_y: Tensor | None,
    d_end: Sequence[Tensor],
    d_x: Tensor | None,
) -> tuple[State, list[Tensor]]:
    """One direction from its last stretch to its first; d_x is written, or by the second direction added to.

    Args:
        kept: the parts of the sorted state before each stretch, (stretches, 1, batch, features).

    Returns:
        Gradients of the state before the first step, and of the weights that are `wanted`.
    """
    stretches, features = job.stretches[direction], job.options.output_features(job.layer)
    columns = slice(direction * features, (direction + 1) * features)
    # Of their own, so that hooks on the weights see one gradient, and not one a stretch.
    own = tuple(weight.detach().requires_grad_(want) for weight, want in zip(weights, wanted, strict=True))
    leaves = [weight for weight, want in zip(own, wanted, strict=True) if want]
    # Not the first stretch's gradients, added to: autograd may give two leaves one tensor.
    totals = [torch.zeros_like(leaf) for leaf in leaves]
    d_now = stretches.sort(d_end)
    parts = len(d_end)
    for place, (start, stop) in reversed(list(enumerate(job.bounds()))):
        part_of_x = stretches.take(x.detach(), start, stop).requires_grad_(d_x is not None)
        before = stretches.first([part[place] for part in kept], start)
        before = tuple(part.detach().requires_grad_() for part in before)
        with torch.enable_grad():
            part_of_y, after = job.run_stretch(direction, own, part_of_x, before, start, stop)
        outputs, upstream = list(after), list(stretches.first(d_now, start))
        if d_y is not None:
            outputs.append(part_of_y)
            upstream.append(stretches.take(d_y[..., columns], start, stop))
        inputs = [*before, *([] if d_x is None else [part_of_x]), *leaves]
        found = _gradients(outputs, inputs, upstream)
        d_now = stretches.replace_first(d_now, found[:parts])
        if d_x is not None:
            stretches.put(d_x, found[parts], start, stop, add=direction > 0)
        for total, d in zip(totals, found[len(found) - len(leaves) :], strict=True):
            total.add_(d)
    return stretches.unsort(d_now), totals


def _gradients(outputs: Sequence[Tensor], inputs: Sequence[Tensor], upstream: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(outputs, inputs, upstream, allow_unused=True)
    return [torch.zeros_like(leaf) if d is None else d for d, leaf in zip(found, inputs, strict=True)]


def _differentiable_backward(
    job: _Job, x: Tensor, others: Sequence[Tensor], needs: Sequence[bool], upstream: Sequence[Tensor | None]
) -> Iterator[Tensor | None]:
    """The gradients as torch operations on their own inputs, so that they can be differentiated again: all at once."""
    state, weights = job.split(others)
    y, after = job.run_whole(weights, x, state)
    pairs = [(value, d) for value, d in zip((y, *after), upstream, strict=True) if d is not None]
    inputs = [tensor for tensor, need in zip((x, *others), needs, strict=True) if need]
    values, gradients = [value for value, _ in pairs], [d for _, d in pairs]
    found = iter(torch.autograd.grad(values, inputs, gradients, create_graph=True, allow_unused=True))
    return (next(found) if need else None for need in needs)
