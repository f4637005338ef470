"""One direction of one layer as what it is for this package: a map from one state to the next, driven by an input.

The maps are the layers' own cells (`nn.cells`), so that what is measured is what runs. They are taken in float64 and in
evaluation mode: no masks, whatever backend the layer has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import torch
from torch import Tensor

from throughtime.nn.acting import acting, of_direction
from throughtime.nn.cells import Cell, direction_cell
from throughtime.nn.cells.cell import NO_ZONE
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions

Range: TypeAlias = Literal["0..1", "-1..1", "0..", "any"]
"""Values that an activation can take: sigmoid, tanh, relu, and whatever has no end."""

_OF_NONLINEARITY: Final[Mapping[str, Range]] = {"sigmoid": "0..1", "tanh": "-1..1", "relu": "0..", "identity": "any"}


@dataclass(frozen=True)
class DirectionSteps:
    """A direction of a layer, in its own order of time: step 1 of a reverse direction is the sequence's last.

    Attributes:
        layer, reverse: which one it is.
        sizes: features of each part of the state: (h,), or (h, c).
        cell: the direction as a function of a step.
        ranges: gate → its range, in the cell's order.
    """

    layer: int
    reverse: bool
    sizes: tuple[int, ...]
    cell: Cell
    ranges: Mapping[str, Range]

    @property
    def size(self) -> int:
        """Features of the whole state."""
        return sum(self.sizes)

    def split(self, joined: Tensor) -> State:
        """(…, size) → the parts of the state."""
        return torch.split_with_sizes(joined, self.sizes, dim=-1)

    def advance(self, drive: Tensor, state: State) -> State:
        """(what the input adds to a step (batch, …), state before) → state after; a state's parts are (batch, size)."""
        return self.cell.step(drive, state, NO_ZONE)[0]

    def advance_joined(self, drive: Tensor, joined: Tensor) -> Tensor:
        """`advance` from (batch, size) to (batch, size), the parts of the state side by side."""
        return torch.cat(self.advance(drive, self.split(joined)), dim=-1)

    def gates(self, drive: Tensor, joined: Tensor) -> dict[str, Tensor]:
        """Their activations in a step from the joined state before it, each (batch, hidden_size)."""
        found = self.cell.step(drive, self.split(joined), NO_ZONE)[1]
        return {name: found[name] for name in self.ranges}


def direction_steps(options: LayerOptions, layer: int, reverse: bool, weights: Sequence[Tensor]) -> DirectionSteps:
    """The map of one direction; `weights` are its parameters in the order of the layer's `all_weights`."""
    own = tuple(weight.detach().to("cpu", torch.float64) for weight in weights)
    hidden = (options.output_features(layer),)
    return DirectionSteps(
        layer=layer,
        reverse=reverse,
        sizes=(*hidden, options.hidden_size[layer]) if options.has_cell_state else hidden,
        cell=direction_cell(of_direction(acting(options, training=False), layer), own),
        ranges={gate: _range(options, gate) for gate in options.gates},
    )


def _range(options: LayerOptions, gate: str) -> Range:
    if gate == "h":
        return _OF_NONLINEARITY[options.nonlinearity]
    if gate == "n" and options.cell in ("MinGRU", "MinLSTM"):
        return "any"
    return "-1..1" if gate in ("g", "n") else "0..1"
