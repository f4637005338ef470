"""The windows of truncated back-propagation: which steps each takes, and running one from the state carried to it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn import native
from throughtime.nn.acting import acting, of_layer
from throughtime.nn.base import Recurrent
from throughtime.nn.lengths import Lengths, check_lengths
from throughtime.nn.masks import LayerMasks, apply_to_weights, draw, of_steps
from throughtime.nn.one_layer import RunLayer, run_natively, run_plainly
from throughtime.nn.plain import LayerWeights
from throughtime.nn.stack import runs_natively
from throughtime.nn.state import State, zero_state
from throughtime.nn.stretches import Stretches


@dataclass(frozen=True)
class Cut:
    """Steps of one window, from 0; stops are exclusive. It carries the errors of steps first_error … stop - 1.

    next_start: where the next window begins; the state before that step is carried to it. None for the last.
    """

    start: int
    first_error: int
    stop: int
    next_start: int | None

    @staticmethod
    def all(seq_len: int, k1: int, k2: int) -> list["Cut"]:
        """docs/derivations/truncation.md, (2) and (3)."""
        ends = range(k1, seq_len + k1, k1)
        return [
            Cut(max(0, end - k2), end - k1, min(end, seq_len), max(0, end + k1 - k2) if end < seq_len else None)
            for end in ends
        ]

    def pieces(self) -> list[tuple[int, int]]:
        """What is run at a time: the state that is carried on stands between two of them."""
        if self.next_start is None or not self.start < self.next_start < self.stop:
            return [(self.start, self.stop)]
        return [(self.start, self.next_start), (self.next_start, self.stop)]


class Windows:
    """A layer over one input, window by window, in order.

    Args:
        layer: of one direction.
        steps: (seq_len, batch, input_size).
        start: one state a layer, before the first step.
        stretches: of the lengths.
    """

    def __init__(self, layer: Recurrent, steps: Tensor, start: Sequence[State], stretches: Stretches) -> None:
        self._layer = layer
        self._steps = steps
        self._stretches = stretches
        self._start = [stretches.sort(state) for state in start]
        self._carried = [_detached(state) for state in self._start]
        self._options = acting(layer.options, layer.training)
        self._drawn = self._draw_masks()
        self._masks = of_steps(self._options, self._drawn)
        self._factors = self._draw_dropout()
        # Of the window that is out: its own copies of what requires gradients, and where theirs belong.
        self._inputs: list[tuple[Tensor, int, int]] = []
        self._starts: list[tuple[Tensor, int, int]] = []
        self._d_steps: Tensor | None = None
        self._d_start: dict[tuple[int, int], Tensor] = {}

    @classmethod
    def over(
        cls, layer: Recurrent, steps: Tensor, states: Sequence[State] | None, lengths: Lengths | None
    ) -> "Windows":
        """Checks the lengths, and that the layer's backend can run this, before the first window."""
        seq_len, batch = steps.shape[:2]
        ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, steps.device)
        options = acting(layer.options, layer.training)
        if runs_natively(layer.backend, options, layer.weights_by_layer(), steps):
            steps, states = native.uncast(steps, states)
        start = zero_state(layer.options, batch, steps) if states is None else states
        return cls(layer, steps, start, Stretches(ragged, seq_len, batch))

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return self._stretches.longest

    def _draw_masks(self) -> list[LayerMasks] | None:
        if not self._layer.training:
            return None
        weight = self._layer.weights_by_layer()[0][0][0]
        shape = self._steps.shape[:2]
        return draw(self._layer.options, shape, shape[1], weight.dtype, self._steps.device)

    def _draw_dropout(self) -> list[Tensor]:
        """What multiplies the input of each layer but the first: steps that two windows share must have one."""
        if not self._layer.training or not self._layer.dropout:
            return []
        shape, options = self._steps.shape[:2], self._options
        sizes = [options.layer_input_size(layer) for layer in range(1, options.num_layers)]
        return [functional.dropout(self._steps.new_ones(*shape, size), self._layer.dropout) for size in sizes]

    def _weights(self) -> Sequence[LayerWeights]:
        """Anew for each window: an optimiser may have changed them, and each window's graph is gone through once."""
        weights = self._layer.weights_by_layer()
        if self._drawn is None or not self._layer.options.weight_dropout:
            return weights
        return apply_to_weights(self._layer.options, weights, self._drawn)

    def run(self, cut: Cut) -> tuple[Tensor, list[State]]:
        """The window's output (stop - first_error, batch, features), and one state a layer after it."""
        weights = self._weights()
        on_core = runs_natively(self._layer.backend, self._options, weights, self._steps)
        run = run_natively if on_core else run_plainly
        now = self._carried
        if cut.start == 0:  # otherwise the state before the window is a constant, truncation.md (4)
            now = [self._leaves(layer) for layer in range(len(now))]
        outputs = []
        for start, stop in cut.pieces():
            output, now = self._run_piece(run, weights, now, start, stop)
            outputs.append(output)
            if stop == cut.next_start:
                self._carried = [_detached(state) for state in now]
        whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return whole[cut.first_error - cut.start :], [self._stretches.unsort(state) for state in now]

    def _run_piece(
        self, run: RunLayer, weights: Sequence[LayerWeights], now: Sequence[State], start: int, stop: int
    ) -> tuple[Tensor, list[State]]:
        stretches = self._stretches
        x = stretches.take(self._steps.detach(), start, stop)
        if self._steps.requires_grad and torch.is_grad_enabled():
            x.requires_grad_()
            self._inputs.append((x, start, stop))
        lengths = stretches.lengths(start, stop)
        after: list[State] = []
        for layer, (layer_weights, before) in enumerate(zip(weights, now, strict=True)):
            if layer and self._factors:
                x = x * stretches.take(self._factors[layer - 1], start, stop)
            options = of_layer(self._options, layer)
            masks = None if self._masks is None else [stretches.masks(self._masks[layer][0], start, stop)]
            x, end = run(options, layer_weights, x, stretches.first(before, start), lengths, masks, False)
            after.append(stretches.replace_first(before, end))
        return stretches.spread(x, start, stop), after

    def _leaves(self, layer: int) -> State:
        """A copy of the initial state that gathers this window's gradient of it."""
        copies = []
        for part, tensor in enumerate(self._start[layer]):
            copy = tensor.detach()
            if tensor.requires_grad and torch.is_grad_enabled():
                copy.requires_grad_()
                self._starts.append((copy, layer, part))
            copies.append(copy)
        return tuple(copies)

    def ended(self, cut: Cut) -> Tensor:
        """(batch,) bool: sequences whose last step carries its error in this window."""
        ragged, device = self._stretches.ragged, self._steps.device
        if ragged is None:
            return torch.full((self._stretches.batch,), cut.stop == self.longest, device=device)
        return ((ragged.lengths > cut.first_error) & (ragged.lengths <= cut.stop)).to(device)

    def gather(self) -> None:
        """Adds up the gradients that the window's backward pass left in its copies, and lets them go."""
        for x, start, stop in self._inputs:
            if x.grad is not None:
                if self._d_steps is None:
                    self._d_steps = torch.zeros_like(self._steps)
                self._stretches.put(self._d_steps, x.grad, start, stop, add=True)
        for copy, layer, part in self._starts:
            if copy.grad is not None:
                before = self._d_start.get((layer, part))
                self._d_start[layer, part] = copy.grad if before is None else before + copy.grad
        self._inputs, self._starts = [], []

    def finish(self) -> None:
        """Hands the sums on to the input and the initial state that the user gave."""
        pairs = [] if self._d_steps is None else [(self._steps, self._d_steps)]
        pairs += [(self._start[layer][part], gradient) for (layer, part), gradient in self._d_start.items()]
        if pairs:
            torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])


def _detached(state: State) -> State:
    return tuple(part.detach() for part in state)
