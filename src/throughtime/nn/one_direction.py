"""One direction of one layer over many stretches of time, forward and back, on either backend: for recomputation.

A stretch is a padded batch of its own, of few steps. What it costs beside its steps counts, since there are many: on
the core, weights are looked at once a pass, and no graph is built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from throughtime.kernels import BatchPlan
from throughtime.nn import calls
from throughtime.nn.autocast import autocast_to
from throughtime.nn.cells import Weights
from throughtime.nn.masks import LayerMasks
from throughtime.nn.one_layer import RunLayer
from throughtime.nn.packing import BACKWARD, FORWARD
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions


@dataclass(frozen=True)
class Stretch:
    """A padded batch.

    x: (steps, batch, input_size). state: before it, (1, batch, features) each. lengths: (batch,), on the CPU; None
    where all fill it. masks: of this direction.
    """

    x: Tensor
    state: State
    lengths: Tensor | None
    masks: LayerMasks | None


class OneDirection(Protocol):
    """A direction with its weights, which stay as they are while it lives."""

    def run(self, stretch: Stretch, y: Tensor | None = None) -> tuple[Tensor, State]:
        """Output and state after, without a graph. y: memory for the output, which may be used or not."""

    def back(
        self, stretch: Stretch, d_y: Tensor | None, d_after: State, wants_x: bool, wants: Sequence[bool]
    ) -> tuple[State, Tensor | None, list[Tensor]]:
        """Runs the stretch again and goes back through it.

        Args:
            d_y: upstream gradient of the output; None: zeros.
            d_after: that of the state after.
            wants_x, wants: whether the gradient of x, and of each weight, is wanted.

        Returns:
            Gradients of the state; of x, and of the weights that are wanted: these until the next call.
        """


class OnCore:
    """On the native core. What a stretch needs and no caller sees goes to the same memory as long as shapes are alike.

    Args:
        options: of the direction alone, as they act.
        masked: whether masks will come.
    """

    def __init__(self, options: LayerOptions, weights: Weights, masked: bool) -> None:
        self._options, self._weights = options, weights
        self._call = calls.layer_call(options, weights[0].dtype, masked)
        self._room: _Room | None = None

    @cached_property
    def _packs(self) -> list[Tensor]:
        return calls.pack(self._call, self._weights, FORWARD)[0]

    @cached_property
    def _packs_back(self) -> list[Tensor]:
        return calls.pack(self._call, self._weights, BACKWARD)[0]

    def run(self, stretch: Stretch, y: Tensor | None = None) -> tuple[Tensor, State]:
        x = stretch.x
        if y is None:
            y = calls.new_result(x, (*x.shape[:2], self._options.output_features(0)))
        ends = calls.new_ends(self._call, x, x.shape[1])
        plan = calls.plan_of(x, stretch.lengths, False)
        self._forward(stretch, plan, (y, *ends, x.new_empty(0)), save=False)
        return y, ends if self._options.has_cell_state else ends[:1]

    def back(
        self, stretch: Stretch, d_y: Tensor | None, d_after: State, wants_x: bool, wants: Sequence[bool]
    ) -> tuple[State, Tensor | None, list[Tensor]]:
        x, (h_0, c_0) = stretch.x, _two(stretch.state)
        wanted = [wants_x, True, c_0 is not None, *wants]
        plan = calls.plan_of(x, stretch.lengths, False)
        room = self._room
        if room is None or (room.shape, room.tokens) != (x.shape, plan.tokens):
            self._room = room = None  # one at a time
            self._room = room = _Room(
                x.shape,
                plan.tokens,
                calls.new_results(self._call, x, stretch.lengths, True, plan.tokens),
                calls.new_d_gates(self._call, x, plan.tokens),
                calls.new_gradients(x, None, None, self._weights, wanted),
            )
        self._forward(stretch, plan, room.results, save=True)
        gradients = [*room.gradients]
        gradients[1:3] = torch.empty_like(h_0), None if c_0 is None else torch.empty_like(c_0)
        y, _, _, saved = room.results
        d_x, d_h_0, d_c_0, *d_weights = calls.backward(
            self._call,
            plan,
            x,
            h_0,
            c_0,
            self._weights,
            y,
            saved,
            d_y,
            *_two(d_after),
            wanted,
            masks=stretch.masks,
            packs=self._packs_back,
            results=gradients,
            d_gates=room.d_gates,
        )
        d_state = tuple(d for d in (d_h_0, d_c_0) if d is not None)
        return d_state, d_x, [d for d in d_weights if d is not None]

    def _forward(
        self, stretch: Stretch, plan: BatchPlan, results: tuple[Tensor, Tensor, Tensor, Tensor], *, save: bool
    ) -> None:
        h_0, c_0 = _two(stretch.state)
        calls.forward(
            self._call,
            plan,
            stretch.x,
            stretch.lengths,
            h_0,
            c_0,
            self._weights,
            save,
            masks=stretch.masks,
            packs=self._packs,
            results=results,
        )


@dataclass(frozen=True)
class _Room:
    """What `calls` writes to, for stretches of one shape."""

    shape: torch.Size
    tokens: int
    results: tuple[Tensor, Tensor, Tensor, Tensor]
    d_gates: list[Tensor]
    gradients: list[Tensor | None]


@dataclass(frozen=True)
class ByAutograd:
    """On whatever runs a layer, with autograd inside. autocast: its dtype where it is to be on."""

    run_layer: RunLayer
    options: LayerOptions
    weights: Weights
    autocast: torch.dtype | None

    def run(self, stretch: Stretch, y: Tensor | None = None) -> tuple[Tensor, State]:
        return self._run(stretch, self.weights)

    def back(
        self, stretch: Stretch, d_y: Tensor | None, d_after: State, wants_x: bool, wants: Sequence[bool]
    ) -> tuple[State, Tensor | None, list[Tensor]]:
        # Of their own, so that hooks on the weights see one gradient, and not one a stretch.
        own = tuple(weight.detach().requires_grad_(want) for weight, want in zip(self.weights, wants, strict=True))
        state = tuple(part.detach().requires_grad_() for part in stretch.state)
        x = stretch.x.detach().requires_grad_(wants_x)
        with torch.enable_grad():
            y, after = self._run(Stretch(x, state, stretch.lengths, stretch.masks), own)
        outputs = [*after, *([] if d_y is None else [y])]
        inputs = [*state, *([x] if wants_x else []), *(w for w, want in zip(own, wants, strict=True) if want)]
        found = torch.autograd.grad(outputs, inputs, [*d_after, *([] if d_y is None else [d_y])], allow_unused=True)
        gradients = [torch.zeros_like(leaf) if d is None else d for d, leaf in zip(found, inputs, strict=True)]
        parts = len(state)
        d_x = gradients[parts] if wants_x else None
        return tuple(gradients[:parts]), d_x, gradients[parts + wants_x :]

    def _run(self, stretch: Stretch, weights: Weights) -> tuple[Tensor, State]:
        with autocast_to(self.autocast, stretch.x.device):
            return self.run_layer(
                self.options, [weights], stretch.x, stretch.state, stretch.lengths, stretch.masks, False
            )


def _two(state: State) -> tuple[Tensor, Tensor | None]:
    return (state[0], state[1]) if len(state) == 2 else (state[0], None)
