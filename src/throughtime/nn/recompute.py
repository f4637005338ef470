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
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from throughtime.nn import calls, plain
from throughtime.nn.acting import of_direction, of_layer
from throughtime.nn.autocast import autocast_dtype, autocast_to
from throughtime.nn.cells import Weights
from throughtime.nn.lengths import Ragged
from throughtime.nn.masks import LayerMasks
from throughtime.nn.one_direction import ByAutograd, OnCore, OneDirection, Stretch
from throughtime.nn.one_layer import RunLayer, run_natively
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
            x = _between(run, prepared, x, ragged)
        job = _Job(
            run,
            run is run_natively and not torch._C._len_torch_dispatch_stack(),
            prepared.options,
            layer,
            None if prepared.masks is None else prepared.masks[layer],
            [Stretches(ragged, x.shape[0], x.shape[1], d == 1) for d in range(prepared.options.num_directions)],
            segment or math.isqrt(x.shape[0] - 1) + 1,
            autocast_dtype(x.device),
        )
        x, *end = _Recomputed.apply(job, x, *states[layer], *chain.from_iterable(weights))  # type: ignore[no-untyped-call]
        ends.append(tuple(end))
    return x, ends


def _between(run: RunLayer, prepared: Prepared, x: Tensor, ragged: Ragged | None) -> Tensor:
    """torch's dropout between layers, drawn for what the ordinary way draws it for: a seed gives the same function."""
    if not prepared.training:
        return x
    rows, packs = prepared.unpadded, run is not run_natively and plain.runs_packed(prepared.options, ragged)
    if rows is not None and (run is run_natively or (packs and rows.by_step)):
        return rows.pad(functional.dropout(rows.take(x), prepared.dropout))
    if not packs:
        return functional.dropout(x, prepared.dropout)
    assert ragged is not None
    data, *order = pack_padded_sequence(x, ragged.lengths, enforce_sorted=False)
    dropped = PackedSequence(functional.dropout(data, prepared.dropout), *order)
    return pad_packed_sequence(dropped, total_length=ragged.seq_len)[0]


@dataclass(frozen=True)
class _Job:
    """One layer, less what is differentiated.

    on_core: whether the core can be called itself; else `run` is, with autograd inside.
    autocast: its dtype, where it is on.
    """

    run: RunLayer
    on_core: bool
    options: LayerOptions
    layer: int
    masks: LayerMasks | None
    stretches: Sequence[Stretches]
    segment: int
    autocast: torch.dtype | None

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

    def new(self, like: Tensor, features: int) -> Tensor:
        """(seq_len, batch, features) for all steps of the input, of the dtype of `like`; zeros where padding is."""
        shape = (self.stretches[0].seq_len, self.stretches[0].batch, features)
        array = calls.new_result(like, shape) if self.on_core else like.new_empty(shape)
        return array if self.ragged is None else array.zero_()

    def with_weights(self, weights: Weights) -> OneDirection:
        """Either direction, with its weights."""
        options = of_direction(self.options, self.layer)
        if self.on_core:
            return OnCore(options, weights, self.masks is not None)
        return ByAutograd(self.run, options, weights, self.autocast)

    def stretch(self, direction: int, x: Tensor, state: State, start: int, stop: int) -> Stretch:
        """Of x, and of the sorted state before it."""
        stretches = self.stretches[direction]
        masks = None if self.masks is None else [stretches.masks(self.masks[direction], start, stop)]
        part, before = stretches.take(x, start, stop), stretches.first(state, start)
        return Stretch(part, before, stretches.lengths(start, stop), masks)

    def run_whole(self, weights: Sequence[Weights], x: Tensor, state: State) -> tuple[Tensor, State]:
        """The layer at once, differentiable in every way."""
        lengths = None if self.ragged is None else self.ragged.lengths
        options = of_layer(self.options, self.layer)
        with autocast_to(self.autocast, x.device):
            return self.run(options, weights, x, state, lengths, self.masks, True)


class _Recomputed(torch.autograd.Function):
    """Output and state after of one layer; arguments: job, x, the parts of the state, the weights of each direction."""

    @staticmethod
    def forward(ctx: Any, job: _Job, x: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        state, weights = job.split(others)
        features = job.options.output_features(job.layer)
        width = features * len(job.stretches)
        # On torch operations autocast has a say in its dtype.
        y = job.new(x, width) if job.on_core else None
        # In one piece each: small pieces between those that come and go would keep the heap from using its holes again.
        bounds = job.bounds()
        kept = [part.new_empty(len(bounds), *part.shape) for part in state]
        ends: list[State] = []
        for direction, stretches in enumerate(job.stretches):
            on = job.with_weights(weights[direction])
            now = stretches.sort([part[direction : direction + 1] for part in state])
            columns = slice(direction * features, (direction + 1) * features)
            for place, (start, stop) in enumerate(bounds):
                for whole, part in zip(kept, now, strict=True):
                    whole[place, direction : direction + 1] = part
                target = None if y is None else stretches.place(y[..., columns], start, stop)
                part_of_y, after = on.run(job.stretch(direction, x, now, start, stop), target)
                y = job.new(part_of_y, width) if y is None else y
                if part_of_y is not target:
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
        d_x = job.new(x, x.shape[-1]) if needs[0] else None
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
    on = job.with_weights(weights)
    # Not the first stretch's gradients: the next one writes over them, or autograd gave two leaves one tensor.
    totals = [torch.zeros_like(weight) for weight, want in zip(weights, wanted, strict=True) if want]
    d_now = stretches.sort(d_end)
    for place, (start, stop) in reversed(list(enumerate(job.bounds()))):
        part_of_d_y = None if d_y is None else stretches.take(d_y[..., columns], start, stop)
        stretch = job.stretch(direction, x, tuple(part[place] for part in kept), start, stop)
        d_before, part_of_d_x, found = on.back(
            stretch, part_of_d_y, stretches.first(d_now, start), d_x is not None, wanted
        )
        d_now = stretches.replace_first(d_now, d_before)
        if d_x is not None and part_of_d_x is not None:
            stretches.put(d_x, part_of_d_x, start, stop, add=direction > 0)
        for total, d in zip(totals, found, strict=True):
            total.add_(d)
    return stretches.unsort(d_now), totals


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
