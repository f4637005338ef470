"""One direction of one layer as what it is for this package: a map from one state to the next, driven by an input.

The maps are the time loop's own steps (`nn.loop`), so that what is measured is what runs. They are taken in float64 and
in evaluation mode: no masks, whatever backend the layer has.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from throughtime.nn import loop
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions

Range: TypeAlias = Literal["0..1", "-1..1", "0..", "any"]
"""Values that an activation can take: sigmoid, tanh, relu, and whatever has no end."""

RANGE_OF_NONLINEARITY: Mapping[str, Range] = {"sigmoid": "0..1", "tanh": "-1..1", "relu": "0..", "identity": "any"}


@dataclass(frozen=True)
class DirectionSteps:
    """A direction of a layer, in its own order of time: step 1 of a reverse direction is the sequence's last.

    Attributes:
        layer, reverse: which one it is.
        sizes: features of each part of the state: (h,), or (h, c).
        project: (…, input features) → what the input adds to each step, the same leading axes.
        advance: (that of one step (batch, …), state before) → state after; a state has parts (batch, features).
        gates: (as `advance`) → activations by name, each (batch, hidden_size).
        ranges: the range of each of them.
    """

    layer: int
    reverse: bool
    sizes: tuple[int, ...]
    project: Callable[[Tensor], Tensor]
    advance: Callable[[Tensor, State], State]
    gates: Callable[[Tensor, State], dict[str, Tensor]]
    ranges: Mapping[str, Range]

    @property
    def size(self) -> int:
        """Features of the whole state."""
        return sum(self.sizes)

    def split(self, joined: Tensor) -> State:
        """(…, size) → the parts of the state."""
        return torch.split(joined, self.sizes, dim=-1)

    def advance_joined(self, drive: Tensor, joined: Tensor) -> Tensor:
        """`advance` from (batch, size) to (batch, size), the parts of the state side by side."""
        return torch.cat(self.advance(drive, self.split(joined)), dim=-1)


def direction_steps(options: LayerOptions, layer: int, reverse: bool, weights: Sequence[Tensor]) -> DirectionSteps:
    """The map of one direction; `weights` are its parameters in the order of the layer's `all_weights`."""
    own = tuple(weight.detach().to("cpu", torch.float64) for weight in weights)
    weight_ih, weight_hh, *biases = own
    bias_ih, bias_hh = biases if biases else (None, None)
    size = options.hidden_size[layer]
    gates, ranges = _gates(options, weight_hh, bias_hh)
    return DirectionSteps(
        layer=layer,
        reverse=reverse,
        sizes=(size, size) if options.has_cell_state else (size,),
        project=lambda x: functional.linear(x, weight_ih, bias_ih),
        advance=loop._step(options, weight_hh, bias_hh),
        gates=gates,
        ranges=ranges,
    )


def _gates(
    options: LayerOptions, weight_hh: Tensor, bias_hh: Tensor | None
) -> tuple[Callable[[Tensor, State], dict[str, Tensor]], Mapping[str, Range]]:
    if options.cell == "LSTM":

        def of_lstm(drive: Tensor, state: State) -> dict[str, Tensor]:
            i, f, g, o = (drive + functional.linear(state[0], weight_hh, bias_hh)).chunk(4, dim=-1)
            return {"i": torch.sigmoid(i), "f": torch.sigmoid(f), "g": torch.tanh(g), "o": torch.sigmoid(o)}

        return of_lstm, {"i": "0..1", "f": "0..1", "g": "-1..1", "o": "0..1"}
    if options.cell == "GRU":
        size = weight_hh.shape[1]
        gates_hh, candidate_hh = torch.split(weight_hh, [2 * size, size])
        gates_b, candidate_b = (None, None) if bias_hh is None else torch.split(bias_hh, [2 * size, size])

        def of_gru(drive: Tensor, state: State) -> dict[str, Tensor]:
            (h,) = state
            of_gates, of_candidate = torch.split(drive, [2 * size, size], dim=-1)
            r, z = torch.sigmoid(of_gates + functional.linear(h, gates_hh, gates_b)).chunk(2, dim=-1)
            if options.reset_after:
                recurrent = r * functional.linear(h, candidate_hh, candidate_b)
            else:
                recurrent = functional.linear(r * h, candidate_hh, candidate_b)
            return {"r": r, "z": z, "n": torch.tanh(of_candidate + recurrent)}

        return of_gru, {"r": "0..1", "z": "0..1", "n": "-1..1"}
    step = loop._step(options, weight_hh, bias_hh)
    ranges = {"h": RANGE_OF_NONLINEARITY[options.nonlinearity]}
    return lambda drive, state: {"h": step(drive, state)[0]}, ranges
