"""One direction of one layer, as its steps see it: options, parameters, and the masks of the step."""

from dataclasses import dataclass, replace

from throughtime.equations.arrays import Array, Indices, Parameters
from throughtime.equations.masks import masks_of_step
from throughtime.equations.product import Product, product
from throughtime.spec.cells import LayerOptions, gate_rows
from throughtime.spec.masks import Masks


@dataclass(frozen=True)
class Direction:
    """masks: of the whole sequences in the direction's own time; after `at`, those of one step's sequences."""

    options: LayerOptions
    parameters: Parameters
    masks: Masks[Array]

    def at(self, t: int, live: Indices) -> "Direction":
        """The same at step t, for the sequences in the rows `live` of the batch."""
        return replace(self, masks=masks_of_step(self.masks, t, live))

    @property
    def hidden_size(self) -> int:
        return len(self.parameters["weight_ih"]) // len(self.options.gates)

    def of_input(self, x: Array, *gates: str) -> Product:
        """W_i* x + b_i* of `gates` (none given: of all), from x (batch, input_size)."""
        gates = gates or self.options.gates
        return product(self.parameters, "ih", gates, self._rows(gates), x)

    def of_hidden(self, h: Array, *gates: str) -> Product:
        """W_h* h + b_h* of `gates` (none given: of all), from h (batch, features of h); dropout is in here."""
        gates = gates or self.options.gates
        rows = self._rows(gates)
        recurrent = 1.0 if self.masks.recurrent is None else self.masks.recurrent
        weight_hh = 1.0 if self.masks.weight_hh is None else self.masks.weight_hh[rows]
        return product(self.parameters, "hh", gates, rows, h, recurrent, weight_hh)

    @property
    def keep_h(self) -> Array | float:
        """m^h of zoneout: 1 where h_{t-1} stays, 0 where the new h~_t comes."""
        return self.options.zoneout[0] if self.masks.zoneout_h is None else self.masks.zoneout_h

    @property
    def keep_c(self) -> Array | float:
        """m^c of zoneout, the same for c."""
        return self.options.zoneout[1] if self.masks.zoneout_c is None else self.masks.zoneout_c

    def _rows(self, gates: tuple[str, ...]) -> slice:
        """Rows of `gates`, which stand next to each other."""
        first, last = (gate_rows(self.options.gates, gate, self.hidden_size) for gate in (gates[0], gates[-1]))
        return slice(first.start, last.stop)
