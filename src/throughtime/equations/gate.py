"""One gate's share of a layer's parameters, and of their gradients.

A layer's matrices hold its gates as blocks of rows, in the order of `LayerOptions.gates`; a `Gate` is one such block,
as views: adding to the views of a gradient adds to the gradient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from throughtime.equations.arrays import Array
from throughtime.spec.cells import gate_rows


@dataclass(frozen=True)
class Gate:
    """W_i*, W_h*, b_i*, b_h* of one gate (or the gradient of each).

    Shapes: weight_ih (hidden_size, input_size), weight_hh (hidden_size, hidden_size), both biases (hidden_size,).
    A batch is held as rows, so W x of the derivations is `x @ W.T` here, and Wᵀ δ is `delta @ W`.
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array

    def of_input(self, x: Array) -> Array:
        """W_i* x + b_i*: (batch, input_size) → (batch, hidden_size)."""
        return x @ self.weight_ih.T + self.bias_ih

    def of_hidden(self, h: Array) -> Array:
        """W_h* h + b_h*: (batch, hidden_size) → (batch, hidden_size)."""
        return h @ self.weight_hh.T + self.bias_hh

    def add_of_input(self, delta: Array, x: Array) -> None:
        """Called on a gradient: add what `of_input(x)` contributes when its gradient is `delta`; rnn.md (6), (8)."""
        self.weight_ih[...] += delta.T @ x
        self.bias_ih[...] += delta.sum(axis=0)

    def add_of_hidden(self, delta: Array, h: Array) -> None:
        """Called on a gradient: add what `of_hidden(h)` contributes when its gradient is `delta`; rnn.md (7), (9)."""
        self.weight_hh[...] += delta.T @ h
        self.bias_hh[...] += delta.sum(axis=0)


Gates: TypeAlias = Mapping[str, Gate]
"""One direction of one layer: its gates by their letter in `LayerOptions.gates`."""


def split_gates(names: Sequence[str], whole: Gate, hidden_size: int) -> Gates:
    """The gates of one direction of one layer, as views of its whole matrices and biases."""
    blocks = {gate: gate_rows(names, gate, hidden_size) for gate in names}
    return {
        gate: Gate(whole.weight_ih[rows], whole.weight_hh[rows], whole.bias_ih[rows], whole.bias_hh[rows])
        for gate, rows in blocks.items()
    }
