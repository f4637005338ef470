"""JAX: the layer as `lax.scan` under `jit`, the usual way to write one. Past a sequence's end the state stays."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.workers.serve import Arrays, Runner, Task, serve

Weights = dict[str, jax.Array]


def step(cell: str, w: Any, b_hh: Any, gates: Any, state: Any) -> Any:
    """(h,) or (h, c) after a step; gates (batch, gates · hidden): the input's part, b_ih included."""
    h = state[0]
    if cell == "RNN":
        return (jnp.tanh(gates + h @ w.T + b_hh),)
    recurrent = h @ w.T + b_hh
    if cell == "GRU":
        (xr, xz, xn), (hr, hz, hn) = jnp.split(gates, 3, axis=1), jnp.split(recurrent, 3, axis=1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        n = jnp.tanh(xn + r * hn)
        return ((1 - z) * n + z * h,)
    i, f, g, o = jnp.split(gates + recurrent, 4, axis=1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c)


def zero_state(cell: str, batch: int, hidden_size: int) -> tuple[jax.Array, ...]:
    return (jnp.zeros((batch, hidden_size)),) * (2 if cell == "LSTM" else 1)


def direction(cell: str, weights: Weights, suffix: str, x: Any, real: Any) -> Any:
    """(steps, batch, hidden): outputs of one direction, zero where `real` (steps, batch) says so, if it is given."""
    w_ih, w_hh = weights["weight_ih" + suffix], weights["weight_hh" + suffix]
    b_ih, b_hh = weights["bias_ih" + suffix], weights["bias_hh" + suffix]
    gates = x @ w_ih.T + b_ih  # all steps at once

    def scan(state: Any, inputs: Any) -> Any:
        after = step(cell, w_hh, b_hh, inputs[0], state)
        if real is None:
            return after, after[0]
        kept = tuple(jnp.where(inputs[1][:, None], new, old) for new, old in zip(after, state, strict=True))
        return kept, jnp.where(inputs[1][:, None], after[0], 0.0)

    inputs = (gates,) if real is None else (gates, real)
    start = zero_state(cell, x.shape[1], w_hh.shape[1])
    return lax.scan(scan, start, inputs, reverse=suffix.endswith("_reverse"))[1]


def forward(cell: str, suffixes: tuple[str, ...], weights: Weights, x: Any, real: Any) -> Any:
    return jnp.concatenate([direction(cell, weights, suffix, x, real) for suffix in suffixes], axis=2)


class Sequences:
    def __init__(self, task: Task) -> None:
        weights = {name: jnp.asarray(w) for name, w in task.weights.items()}
        real = jnp.asarray(task.real) if task.ragged else None
        compute = partial(forward, task.cell, task.directions)

        def gradients(weights: Weights, x: Any, real: Any, d_output: Any) -> Any:
            output, back = jax.vjp(lambda w, x: compute(w, x, real), weights, x)
            return output, back(d_output)

        self._training = task.work == "training"
        if self._training:
            self._call = partial(jax.jit(gradients), weights, jnp.asarray(task.x), real, jnp.asarray(task.d_output))
        else:
            self._call = partial(jax.jit(compute), weights, jnp.asarray(task.x), real)

    def run(self) -> None:
        jax.block_until_ready(self._call())

    def result(self) -> Arrays:
        if not self._training:
            return {"output": np.asarray(self._call())}
        output, (d_weights, d_x) = self._call()
        d_named = {f"d_{name}": np.asarray(d) for name, d in d_weights.items()}
        return {"output": np.asarray(output), "d_input": np.asarray(d_x), **d_named}


class Stream:
    def __init__(self, task: Task) -> None:
        weights = {name: jnp.asarray(w) for name, w in task.weights.items()}

        def one(weights: Weights, state: Any, x: Any) -> Any:
            gates = x @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
            return step(task.cell, weights["weight_hh_l0"], weights["bias_hh_l0"], gates, state)

        self._step = partial(jax.jit(one), weights)
        self._x = [jnp.asarray(x) for x in task.x]
        self._zero = self._state = zero_state(task.cell, task.x.shape[1], task.hidden_size)

    def run(self) -> None:
        self._state = jax.block_until_ready(self._step(self._state, self._x[0]))

    def result(self) -> Arrays:
        state, outputs = self._zero, []
        for x in self._x:
            state = self._step(state, x)
            outputs.append(np.asarray(state[0]))
        return {"output": np.stack(outputs)}


def prepare(task: Task) -> Runner:
    return Stream(task) if task.work == "streaming" else Sequences(task)


if __name__ == "__main__":
    serve(prepare, ("jax", "jaxlib", "numpy"))
