"""The RNN, GRU and LSTM cases of ONNX's own backend tests, for the options that these layers have."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import throughtime.nn
from throughtime.spec.cells import suffix

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # ONNX computes all its cases on import, some beyond the range of their types
    from onnx import helper
    from onnx.backend.test.case import node

    CASES = [
        case
        for case in node.collect_testcases(None)
        if case.model is not None
        and len(case.model.graph.node) == 1
        and case.model.graph.node[0].op_type in ("RNN", "GRU", "LSTM")
    ]

# ONNX's gates are z r h and i o f c; torch's r z n and i f g o.
_GATES = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 2, 3, 1]}
_FORMS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def _by_torchs_gates(op: str, array: NDArray[Any]) -> torch.Tensor:
    blocks = np.split(array, len(_GATES[op]))
    return torch.from_numpy(np.concatenate([blocks[gate] for gate in _GATES[op]]))


def _lacking(attributes: dict[str, Any]) -> str | None:
    return next((name for name in ("clip", "input_forget", "activation_alpha") if attributes.get(name)), None)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: Any, backend: str, skip_if_the_core_lacks: Any) -> None:
    graph = case.model.graph.node[0]
    op = graph.op_type
    attributes = {a.name: helper.get_attribute_value(a) for a in graph.attribute}
    for arrays, expected in case.data_sets:
        present = iter(arrays)
        inputs = {form: next(present) for form, name in zip(_FORMS, graph.input, strict=False) if name}
        lacking = _lacking(attributes)
        if lacking:
            pytest.skip(f"{lacking}: not there yet")
        batch_first = bool(attributes.get("layout", 0))
        directions, rows, input_size = inputs["W"].shape
        backwards = attributes.get("direction") == b"reverse"  # alone: the same layer over time turned round
        size = attributes["hidden_size"]
        options: dict[str, Any] = {}
        if op == "GRU":
            options["reset_after"] = bool(attributes.get("linear_before_reset", 0))
        if op == "LSTM":
            options["peephole"] = "P" in inputs
        layer = getattr(throughtime.nn, op)(
            input_size, size, bidirectional=directions == 2, batch_first=batch_first, backend=backend, **options
        )
        bias = inputs.get("B", np.zeros((directions, 2 * rows), np.float32))
        state = {}
        for d in range(directions):
            state["weight_ih" + suffix(0, d)] = _by_torchs_gates(op, inputs["W"][d])
            state["weight_hh" + suffix(0, d)] = _by_torchs_gates(op, inputs["R"][d])
            state["bias_ih" + suffix(0, d)] = _by_torchs_gates(op, bias[d, :rows])
            state["bias_hh" + suffix(0, d)] = _by_torchs_gates(op, bias[d, rows:])
            if "P" in inputs:  # i o f; ours i f o
                i, o, f = np.split(inputs["P"][d], 3)
                state["weight_peephole" + suffix(0, d)] = torch.from_numpy(np.concatenate([i, f, o]))
        skip_if_the_core_lacks(layer)
        layer.load_state_dict(state)
        hx: Any = None
        if "initial_h" in inputs:
            h_0, c_0 = (torch.from_numpy(inputs.get(name, inputs["initial_h"])) for name in ("initial_h", "initial_c"))
            hx = (h_0, c_0) if op == "LSTM" else h_0
        x, time = torch.from_numpy(inputs["X"]), int(batch_first)
        assert not backwards or "sequence_lens" not in inputs
        output, after = layer(x.flip(time) if backwards else x, hx, inputs.get("sequence_lens"))
        output = output.flip(time) if backwards else output

        # Y is (seq_len, directions, batch, hidden_size), or with `layout` (batch, seq_len, directions, hidden_size).
        y = output.unflatten(-1, (directions, size))
        y = y if batch_first else y.transpose(1, 2)
        states = list(after) if op == "LSTM" else [after]
        states = [part.transpose(0, 1) for part in states] if batch_first else states
        results = dict(zip(("Y", "Y_h", "Y_c"), [y, *states], strict=False))
        values = iter(expected)
        for form, name in zip(("Y", "Y_h", "Y_c"), graph.output, strict=False):
            if name:
                np.testing.assert_allclose(results[form].detach().numpy(), next(values), rtol=1e-3, atol=1e-7)
