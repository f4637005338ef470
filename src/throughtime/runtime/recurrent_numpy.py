"""RNN, GRU and LSTM stacks in NumPy, forward only, for prediction where the native core is not.

Sequences of all lengths run together: their steps are laid out step by step, longest sequence first, so that the
sequences alive at step t are the first rows, and no work is done on padding. The input of a layer goes through its
weights in one product; a step then costs one product with the state.

Source: the equations are those of docs/derivations; names and shapes those of `spec.cells`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.cells import LayerOptions, Nonlinearity, suffix

Array: TypeAlias = NDArray[Any]

_ORDER: Final = {"RNN": (0,), "GRU": (0, 1, 2), "LSTM": (0, 1, 3, 2)}
"""Blocks of gates as we compute them: those of a sigmoid side by side (LSTM: i f o g)."""
_SIGMOIDS: Final = {"RNN": 0, "GRU": 2, "LSTM": 3}


class NumpyStack:
    """The stack on NumPy. Arguments are those of `RecurrentStack`, checked there."""

    def __init__(self, options: LayerOptions, parameters: Mapping[str, Array]) -> None:
        self._layers = [
            [_Direction(options, parameters, layer, direction) for direction in range(options.num_directions)]
            for layer in range(options.num_layers)
        ]

    def forward(self, x: Array, lengths: Array, index: Array | None) -> tuple[Array, list[Array]]:
        """Output and final states of all sequences from a zero state, as `StackOutput` has them."""
        if index is not None:
            # Steps repeat their rows: each goes through the first layer's weights once.
            different, index = np.unique(index, return_inverse=True)
            x = x[different]
        layout = _Layout(lengths)
        rows = layout.rows if index is None else index[layout.rows]
        h_n = []
        for directions in self._layers:
            results = [direction.run(x, rows, layout) for direction in directions]
            x = np.concatenate([output for output, _ in results], axis=1) if len(results) > 1 else results[0][0]
            h_n.append(np.stack([final for _, final in results])[:, layout.back])
            rows = None  # the output of a layer is already in the order of time
        output = np.empty_like(x)
        output[layout.rows] = x
        return output, h_n


class _Layout:
    """Steps of ragged sequences in the order of time: of each step, the sequences that reach it, longest first."""

    def __init__(self, lengths: Array) -> None:
        order = np.argsort(-lengths, kind="stable")
        by_length = lengths[order]
        starts = (np.cumsum(lengths) - lengths)[order]
        self.alive = np.searchsorted(-by_length, -np.arange(by_length[0]), side="left")
        """(seq_len,): how many sequences have a step t."""
        self.ends = np.cumsum(self.alive)
        self.rows = np.concatenate([starts[:n] + t for t, n in enumerate(self.alive)])
        """(steps,): where a step of this order stands among the sequences end to end."""
        self.back = np.argsort(order)


class _Direction:
    """One direction of one layer."""

    def __init__(self, options: LayerOptions, parameters: Mapping[str, Array], layer: int, direction: int) -> None:
        end = suffix(layer, direction)
        self._size = size = options.hidden_size[layer]
        self._reverse = direction == 1
        self._options = options
        order = _ORDER[options.cell]
        rows = np.concatenate([np.arange(gate * size, (gate + 1) * size) for gate in order])
        weight_ih, weight_hh = parameters[f"weight_ih{end}"][rows], parameters[f"weight_hh{end}"][rows]
        zeros = np.zeros(len(rows), weight_ih.dtype)
        bias_ih = parameters[f"bias_ih{end}"][rows] if options.bias else zeros
        bias_hh = parameters[f"bias_hh{end}"][rows] if options.bias else zeros
        # σ(a) = (tanh(a/2) + 1) / 2: never overflows, and one tanh then serves all gates of a step. Halving is exact.
        half = np.ones(len(rows), weight_ih.dtype)
        half[: _SIGMOIDS[options.cell] * size] = 0.5
        inside = options.cell == "GRU" and options.reset_after  # b_hn is multiplied by r, so it cannot join b_in
        joined = bias_ih + bias_hh
        if inside:
            joined[2 * size :] = bias_ih[2 * size :]
        self._bias_hn = bias_hh[2 * size :] if inside else None
        self._weight_ih = np.ascontiguousarray((weight_ih * half[:, None]).T)
        self._weight_hh = np.ascontiguousarray((weight_hh * half[:, None]).T)
        self._bias = joined * half
        self._step: Callable[..., None] = {"RNN": self._rnn, "GRU": self._gru, "LSTM": self._lstm}[options.cell]

    def run(self, x: Array, rows: Array | None, layout: _Layout) -> tuple[Array, Array]:
        """Output (steps, hidden_size) in the layout's order; final state (batch, hidden_size), longest first."""
        projected = x @ self._weight_ih
        projected += self._bias
        gates = projected if rows is None else projected[rows]
        batch, size = layout.alive[0], self._size
        h = np.zeros((batch, size), gates.dtype)
        c = np.zeros_like(h)
        product = np.empty((batch, gates.shape[1]), gates.dtype)
        output = np.empty((len(gates), size), gates.dtype)
        times = range(len(layout.alive))
        # In reverse, a sequence joins at its own last step, with the zero state that its rows hold until then.
        for t in reversed(times) if self._reverse else times:
            n, end = layout.alive[t], layout.ends[t]
            a = gates[end - n : end]
            self._step(a, h[:n], c[:n], product[:n])
            output[end - n : end] = h[:n]
        return output, h

    def _rnn(self, a: Array, h: Array, _: Array, product: Array) -> None:
        np.matmul(h, self._weight_hh, out=product)
        a += product
        _PHI[self._options.nonlinearity](a, h)

    def _lstm(self, a: Array, h: Array, c: Array, product: Array) -> None:
        size = self._size
        np.matmul(h, self._weight_hh, out=product)
        a += product
        np.tanh(a, out=a)
        sigmoids = a[:, : 3 * size]
        sigmoids *= 0.5
        sigmoids += 0.5
        i, f, o, g = (a[:, k * size : (k + 1) * size] for k in range(4))
        c *= f
        g *= i
        c += g
        np.tanh(c, out=h)
        h *= o

    def _gru(self, a: Array, h: Array, _: Array, product: Array) -> None:
        size = self._size
        gates, n = a[:, : 2 * size], a[:, 2 * size :]
        if self._bias_hn is None:
            np.matmul(h, self._weight_hh[:, : 2 * size], out=product[:, : 2 * size])
        else:
            np.matmul(h, self._weight_hh, out=product)
        gates += product[:, : 2 * size]
        np.tanh(gates, out=gates)
        gates *= 0.5
        gates += 0.5
        r, z = gates[:, :size], gates[:, size:]
        if self._bias_hn is None:
            n += (r * h) @ self._weight_hh[:, 2 * size :]
        else:
            candidate = product[:, 2 * size :]
            candidate += self._bias_hn
            candidate *= r
            n += candidate
        np.tanh(n, out=n)
        h -= n
        h *= z
        h += n  # (1 − z) n + z h


def _sigmoid(a: Array, out: Array) -> None:
    np.multiply(a, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5


def _tanh(a: Array, out: Array) -> None:
    np.tanh(a, out=out)


def _relu(a: Array, out: Array) -> None:
    np.maximum(a, 0, out=out)


def _identity(a: Array, out: Array) -> None:
    out[:] = a


_PHI: Final[dict[Nonlinearity, Callable[[Array, Array], None]]] = {
    "tanh": _tanh,
    "relu": _relu,
    "sigmoid": _sigmoid,
    "identity": _identity,
}
