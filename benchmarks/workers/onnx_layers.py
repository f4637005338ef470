"""ONNX Runtime: the layer as one node of ONNX, LSTM, GRU or RNN. It does not train."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.workers.serve import Arrays, Runner, Task, serve, threads

# ONNX puts z before r, and o after i.
ORDER = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}
OPSET, IR_VERSION = 21, 10


def reordered(cell: str, array: np.ndarray) -> np.ndarray:
    blocks = np.split(array, len(ORDER[cell]))
    return np.concatenate([blocks[place] for place in ORDER[cell]])


def model(task: Task) -> bytes:
    """X, lengths where ragged, states where streaming → Y (steps, directions, batch, hidden), states; one node."""
    cell, hidden = task.cell, task.hidden_size

    def stacked(*kinds: str) -> np.ndarray:
        rows = [[reordered(cell, task.weights[kind + suffix]) for kind in kinds] for suffix in task.directions]
        return np.stack([np.concatenate(row) for row in rows])

    states = ["h", "c"] if cell == "LSTM" else ["h"]
    streaming = task.work == "streaming"
    given = [f"initial_{s}" for s in states] if streaming else []
    returned = [f"Y_{s}" for s in states] if streaming else []
    options: dict[str, Any] = {"linear_before_reset": 1} if cell == "GRU" else {}
    direction = "bidirectional" if task.bidirectional else "forward"
    inputs = ["X", "W", "R", "B", "lengths" if task.ragged else "", *given]
    while not inputs[-1]:
        inputs.pop()
    node = helper.make_node(cell, inputs, ["Y", *returned], hidden_size=hidden, direction=direction, **options)
    weights = {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": stacked("bias_ih", "bias_hh")}
    steps, batch = 1 if streaming else len(task.x), len(task.lengths)
    directions = len(task.directions)
    infos = {"X": [steps, batch, task.input_size], "Y": [steps, directions, batch, hidden]}
    infos |= {name: [directions, batch, hidden] for name in [*given, *returned]}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in infos.items()}
    lengths = [helper.make_tensor_value_info("lengths", TensorProto.INT32, [batch])] if task.ragged else []
    graph = helper.make_graph(
        [node],
        cell,
        [values["X"], *lengths, *(values[name] for name in given)],
        [values["Y"], *(values[name] for name in returned)],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    content: bytes = made.SerializeToString()
    return content


def session(task: Task) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    # Threads that wait for work by spinning would slow the contender that comes next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model(task), options, providers=["CPUExecutionProvider"])


class Sequences:
    def __init__(self, task: Task) -> None:
        self._session = session(task)
        self._inputs = {"X": task.x} | ({"lengths": task.lengths.astype(np.int32)} if task.ragged else {})

    def run(self) -> None:
        self._session.run(None, self._inputs)

    def result(self) -> Arrays:
        output = self._session.run(None, self._inputs)[0]
        steps, directions, batch, hidden = output.shape
        return {"output": output.transpose(0, 2, 1, 3).reshape(steps, batch, directions * hidden)}


class Stream:
    def __init__(self, task: Task) -> None:
        self._session = session(task)
        self._x = [x[None] for x in task.x]
        names = ("initial_h", "initial_c") if task.cell == "LSTM" else ("initial_h",)
        self._zero = {name: np.zeros((1, task.x.shape[1], task.hidden_size), np.float32) for name in names}
        self._state = self._zero

    def run(self) -> None:
        _, self._state = self._step(self._x[0], self._state)

    def result(self) -> Arrays:
        state, outputs = self._zero, []
        for x in self._x:
            output, state = self._step(x, state)
            outputs.append(output[0, 0])
        return {"output": np.stack(outputs)}

    def _step(self, x: np.ndarray, state: Arrays) -> tuple[np.ndarray, Arrays]:
        output, *after = self._session.run(None, {"X": x, **state})
        return output, dict(zip(state, after, strict=True))


def prepare(task: Task) -> Runner:
    return Stream(task) if task.work == "streaming" else Sequences(task)


if __name__ == "__main__":
    serve(prepare, ("onnxruntime", "onnx", "numpy"))
