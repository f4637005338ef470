"""Peepholes: gates of the LSTM that see its cell state. Derivation: docs/derivations/lstm-variants.md."""

from dataclasses import dataclass

from throughtime.equations.arrays import Array, Parameters
from throughtime.equations.direction import Direction
from throughtime.spec.cells import gate_rows, peephole_gates


@dataclass(frozen=True)
class Peephole:
    """p ⊙ c of one gate: value (batch, hidden_size). 0 for a gate that has none."""

    rows: slice
    weight: Array | None
    c: Array

    @property
    def value(self) -> Array | float:
        return 0.0 if self.weight is None else self.weight * self.c  # lstm-variants.md (1), (2), (3)

    def back(self, delta: Array, d: Parameters) -> Array | float:
        """∂E/∂(the gate's argument) → ∂E/∂c; the gradient of p is added to `d`."""
        if self.weight is None:
            return 0.0
        d["weight_peephole"][self.rows] += (delta * self.c).sum(axis=0)  # lstm-variants.md (6), (7)
        return self.weight * delta  # lstm-variants.md (4), (5)


def peephole(direction: Direction, gate: str, c: Array) -> Peephole:
    """What `gate` of an LSTM sees of c (batch, hidden_size)."""
    options = direction.options
    if not options.peephole or gate not in peephole_gates(options):  # coupled: there is no i
        return Peephole(slice(0), None, c)
    rows = gate_rows(peephole_gates(options), gate, direction.hidden_size)
    return Peephole(rows, direction.parameters["weight_peephole"][rows], c)
