"""Truncated back-propagation through time: train on sequences too long to go back through as a whole.

Definition: docs/derivations/truncation.md, whose (k1, k2) these are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from throughtime.nn.base import Recurrent
from throughtime.nn.lengths import Lengths
from throughtime.nn.state import detached, write_state
from throughtime.nn.windows import Cut, Windows
from throughtime.spec.errors import OptionError, ShapeError


@dataclass(frozen=True)
class Window:
    """One backward pass: steps start … stop - 1, whose errors go back through the last k2 steps.

    output: of these steps, in the form of the layer's output; its graph reaches k2 steps back and no further.
    state: after step stop - 1, in the form of the layer's state; sequences that have ended stay at their last step.
    ended: (batch,) bool, which sequences have their last step in this window. A loss on the final state counts each
        sequence once if it takes `state` of these only.
    """

    start: int
    stop: int
    output: Tensor = field(repr=False)
    state: Any = field(repr=False)
    ended: Tensor = field(repr=False)

    @property
    def carried(self) -> Any:
        """`state` detached: the `hx` with which the next part of an endless sequence goes on."""
        return detached(self.state)


def truncated(
    layer: Recurrent,
    input: Tensor,  # noqa: A002 - torch's name
    k1: int,
    k2: int,
    hx: Any = None,
    lengths: Lengths | None = None,
) -> Iterator[Window]:
    """Runs a layer window by window: after every k1 steps, their errors go back through the last k2 steps.

        for window in truncated(layer, input, k1=35, k2=70):
            loss = criterion(head(window.output), target[window.start : window.stop])
            loss.backward()
            optimiser.step()  # after each window, or after the loop: then the sum of all windows counts
            optimiser.zero_grad()
        hx = window.carried  # where the next input goes on with this one

    Without a step in between, the gradients of a loss that is a sum over steps are those of `layer(input, hx, lengths)`
    if no window is cut (k2 >= seq_len, where k1 divides seq_len), and those of docs/derivations/truncation.md always.
    Memory is that of k2 steps, whatever the length: call `backward` on each window before the next is asked for.

    Args:
        layer: not bidirectional.
        input: as of the layer, but for a `PackedSequence`. If it requires gradients, theirs are gathered over the
            windows and go back through it once, when the loop ends; the same for `hx`.
        k1: steps from one backward pass to the next.
        k2: steps that each goes back through, at least k1.
        hx: the state before the first step; zeros if None.
        lengths: (batch,) steps of each sequence; windows end with the longest.

    Returns:
        The windows, in order. In training, masks and dropout are drawn once for all of them, as one call of the layer
        would draw them.

    Raises:
        OptionError: not 1 <= k1 <= k2, a bidirectional layer, or one of another library.
        ShapeError: what the layer's call raises, at once and not with the first window.
    """
    if not isinstance(layer, Recurrent):
        raise OptionError(
            f"layer must be a layer of throughtime.nn, not of type {type(layer).__module__}.{type(layer).__name__}"
        )
    if layer.bidirectional:
        raise OptionError(
            "layer must not be bidirectional: its reverse direction starts at the sequence's end, so no window can be "
            "worked on before the rest is known"
        )
    for name, value in (("k1", k1), ("k2", k2)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise OptionError(f"{name} must be an integer, but is {value!r}")
    if not 1 <= k1 <= k2:
        raise OptionError(
            f"k1 and k2 must have 1 <= k1 <= k2, but are {k1} and {k2}: choose k1 of at least 1, and k2 of at least k1"
        )
    if not isinstance(input, Tensor):
        raise ShapeError(f"input must be a tensor, with lengths if need be, but is a {type(input).__name__}")
    steps, states, given, batched = layer.read_input(input, hx, lengths)
    windows = Windows.over(layer, steps, states, given)
    return _run(layer, windows, Cut.all(windows.longest, k1, k2), batched)


def _run(layer: Recurrent, windows: Windows, cuts: Sequence[Cut], batched: bool) -> Iterator[Window]:
    for cut in cuts:
        output, state = windows.run(cut)
        if not batched:
            output = output.squeeze(1)
        elif layer.batch_first:
            output = output.transpose(0, 1)
        ended = windows.ended(cut)
        yield Window(cut.first_error, cut.stop, output, write_state(layer.options, state, batched), ended)
        windows.gather()
        del output, state
    windows.finish()
