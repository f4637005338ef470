"""Keras 3 on JAX: `keras.layers.LSTM`, `GRU` and `SimpleRNN`, compiled as Keras trains them.

Of its backends JAX runs a whole sequence as one compiled loop; on torch, every step is a number of separate operations.
"""

import os
from functools import partial
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.workers.serve import Arrays, Runner, Task, serve

LAYERS = {"RNN": keras.layers.SimpleRNN, "GRU": keras.layers.GRU, "LSTM": keras.layers.LSTM}
# Keras puts z before r; its own layout is the transpose of torch's.
ORDER = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 1, 2, 3)}


def reordered(cell: str, array: np.ndarray) -> np.ndarray:
    """Row blocks of gates in the other library's order; its own inverse."""
    blocks = np.split(array, len(ORDER[cell]))
    return np.concatenate([blocks[place] for place in ORDER[cell]])


def to_keras(task: Task, suffix: str) -> list[np.ndarray]:
    """kernel, recurrent_kernel, bias. Only the GRU has two biases; the others get torch's sum."""
    named = {kind: reordered(task.cell, task.weights[kind + suffix]) for kind in ("weight_ih", "weight_hh")}
    biases = [reordered(task.cell, task.weights[kind + suffix]) for kind in ("bias_ih", "bias_hh")]
    bias = np.stack(biases) if task.cell == "GRU" else biases[0] + biases[1]
    return [named["weight_ih"].T, named["weight_hh"].T, bias]


def to_torch(task: Task, suffix: str, d_kernel: Any, d_recurrent: Any, d_bias: Any) -> Arrays:
    biases = list(np.asarray(d_bias)) if task.cell == "GRU" else [np.asarray(d_bias)] * 2
    parts = {"weight_ih": np.asarray(d_kernel).T, "weight_hh": np.asarray(d_recurrent).T}
    parts |= dict(zip(("bias_ih", "bias_hh"), biases, strict=True))
    return {f"d_{kind}{suffix}": reordered(task.cell, array) for kind, array in parts.items()}


class Sequences:
    """Keras has the batch before the steps; it gets its input so, and no transposition is timed."""

    def __init__(self, task: Task) -> None:
        options = {"return_sequences": True, "zero_output_for_mask": True}
        if task.cell == "GRU":
            options["reset_after"] = True
        layer = LAYERS[task.cell](task.hidden_size, **options)
        if task.bidirectional:
            layer = keras.layers.Bidirectional(layer)
        layer.build((len(task.lengths), len(task.x), task.input_size))
        layer.set_weights([w for suffix in task.directions for w in to_keras(task, suffix)])
        trainable = [v.value for v in layer.trainable_variables]
        rest = [v.value for v in layer.non_trainable_variables]
        mask = jnp.asarray(task.real.T) if task.ragged else None

        def compute(weights: Any, x: Any, mask: Any) -> Any:
            return layer.stateless_call(weights, rest, x, mask=mask)[0]

        def gradients(weights: Any, x: Any, mask: Any, d_output: Any) -> Any:
            output, back = jax.vjp(lambda w, x: compute(w, x, mask), weights, x)
            return output, back(d_output)

        self._task = task
        x = jnp.asarray(task.x.swapaxes(0, 1))
        if task.work == "training":
            d_output = jnp.asarray(task.d_output.swapaxes(0, 1))
            self._call = partial(jax.jit(gradients), trainable, x, mask, d_output)
        else:
            self._call = partial(jax.jit(compute), trainable, x, mask)

    def run(self) -> None:
        jax.block_until_ready(self._call())

    def result(self) -> Arrays:
        task = self._task
        if task.work != "training":
            return {"output": np.asarray(self._call()).swapaxes(0, 1)}
        output, (d_weights, d_x) = self._call()
        named: Arrays = {}
        for at, suffix in enumerate(task.directions):
            named |= to_torch(task, suffix, *d_weights[3 * at : 3 * at + 3])
        return {"output": np.asarray(output).swapaxes(0, 1), "d_input": np.asarray(d_x).swapaxes(0, 1), **named}


class Stream:
    """The layer's cell, compiled: one step of a layer by way of `predict` takes milliseconds."""

    def __init__(self, task: Task) -> None:
        layer = LAYERS[task.cell](task.hidden_size)
        layer.build((1, 1, task.input_size))
        layer.set_weights(to_keras(task, "_l0"))
        cell = layer.cell
        rest = [v.value for v in cell.non_trainable_variables]
        weights = [v.value for v in cell.trainable_variables]

        def one(weights: Any, state: Any, x: Any) -> Any:
            return cell.stateless_call(weights, rest, x, state)[0]

        self._step = partial(jax.jit(one), weights)
        self._x = [jnp.asarray(x) for x in task.x]
        zero = jnp.zeros((task.x.shape[1], task.hidden_size))
        self._zero = self._state = [zero] * (2 if task.cell == "LSTM" else 1)

    def run(self) -> None:
        self._state = jax.block_until_ready(self._step(self._state, self._x[0]))[1]

    def result(self) -> Arrays:
        state, outputs = self._zero, []
        for x in self._x:
            output, state = self._step(state, x)
            outputs.append(np.asarray(output))
        return {"output": np.stack(outputs)}


def prepare(task: Task) -> Runner:
    return Stream(task) if task.work == "streaming" else Sequences(task)


if __name__ == "__main__":
    serve(prepare, ("keras", "jax", "jaxlib", "numpy"))
