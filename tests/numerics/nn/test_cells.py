"""A cell as a function of one step: run over a sequence it gives what the layer gives, and its gates are what acts."""

from decimal import Decimal
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.nn.cells import direction_cell, kinds
from throughtime.nn.cells.cell import NO_ZONE
from throughtime.spec import tolerances

ROW = tolerances.OUTPUT["float64"]
CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"layer_norm": True}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {"layer_norm": True}),
    ("LSTM", {"peephole": True, "coupled_gates": True}),
    ("LSTM", {"proj_size": 2}),
    ("MinGRU", {}),
    ("MinLSTM", {}),
    ("IndRNN", {}),
]


def _close(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(ours, theirs, rtol=ROW.rtol, atol=ROW.atol)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize(("cell", "options"), CELLS)
def test_steps_and_gates(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(3, 4, dtype=torch.float64, **options)
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    output, after = layer(x)
    [[weights]] = layer.weights_by_layer()
    assert len(weights) == len(kinds(layer.options))
    made = direction_cell(layer.options, weights)
    h = torch.zeros(2, layer.options.output_features(0), dtype=torch.float64)
    state: tuple[Tensor, ...] = (h, torch.zeros(2, 4, dtype=torch.float64)) if cell == "LSTM" else (h,)
    for t, a in enumerate(made.project(x)):
        before, (state, gates) = state, made.step(a, state, NO_ZONE)
        _close(state[0], output[t])
        assert set(gates) == set(layer.options.gates)
        assert all(gate.shape == (2, 4) for gate in gates.values())
        if cell == "LSTM":
            i = gates["i"] if "i" in gates else 1 - gates["f"]
            _close(state[1], gates["f"] * before[1] + i * gates["g"])
        elif cell == "GRU":
            _close(state[0], (1 - gates["z"]) * gates["n"] + gates["z"] * before[0])
        elif cell == "MinGRU":
            _close(state[0], (1 - gates["z"]) * before[0] + gates["z"] * gates["n"])
        elif cell == "MinLSTM":
            _close(gates["f"] + gates["i"], torch.ones_like(gates["f"]))
            _close(state[0], gates["f"] * before[0] + gates["i"] * gates["n"])
        else:
            _close(state[0], gates["h"])
    ends = after if cell == "LSTM" else (after,)
    for part, end in zip(state, ends, strict=True):
        _close(part, end[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("backend", ["torch", "native"])
def test_min_lstm_where_gates_underflow(backend: Any, dtype: torch.dtype) -> None:
    pairs = list(product([-800.0, -500.0, -200.0, -100.0, -88.0, -30.0, 0.0, 800.0], repeat=2))
    f, i = torch.tensor(pairs, dtype=dtype).unbind(1)
    layer = throughtime.nn.MinLSTM(1, len(pairs), dtype=dtype, backend=backend)
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").zero_()
        layer.get_parameter("bias_ih_l0").copy_(torch.cat([f, i, torch.full_like(f, 3.0)]))
    h_0 = torch.full((1, 1, len(pairs)), -2.0, dtype=dtype)
    output, _ = layer(torch.zeros(1, 1, 1, dtype=dtype), h_0)
    shares = [1 / (1 + (1 + Decimal(-f).exp()) / (1 + Decimal(-i).exp())) for f, i in pairs]  # of any exponent
    share = torch.tensor([float(exact) for exact in shares], dtype=dtype)
    row = tolerances.OUTPUT[str(dtype).split(".")[1]]
    torch.testing.assert_close(output[0, 0], 3 - 5 * share, rtol=row.rtol, atol=row.atol)
