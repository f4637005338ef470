"""Results and gradients against torch in float64: its own layers, and autograd over formulas that it does not have."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from throughtime.spec.tolerances import GRADIENT, OUTPUT

CELLS: list[dict[str, Any]] = [
    {"cell": "RNN", "nonlinearity": "tanh"},
    {"cell": "RNN", "nonlinearity": "relu"},
    {"cell": "GRU"},
    {"cell": "LSTM"},
    {"cell": "LSTM", "proj_size": 2},
]
NAMES = ["RNN-tanh", "RNN-relu", "GRU", "LSTM", "LSTM-projection"]
STACKS: dict[str, dict[str, Any]] = {
    "one": {"lengths": [7, 7]},
    "one step": {"lengths": [1, 1, 1]},
    "two steps": {"lengths": [2]},
    "ragged": {"lengths": [5, 7, 1, 2]},
    "no bias": {"lengths": [3, 4], "bias": False},
    "both directions": {"lengths": [2, 7, 4], "bidirectional": True},
    "sizes that differ": {"lengths": [6, 3, 6], "hidden_size": (4, 3, 5)},
    "everything": {"lengths": [9, 1, 12, 7], "hidden_size": (5, 3, 4), "bidirectional": True, "input_size": 6},
}


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_torch_layers_give_the_same(
    problem: Callable[..., Any],
    torch_run: Callable[..., Any],
    close: Callable[..., None],
    cell: dict[str, Any],
    stack: dict[str, Any],
) -> None:
    given = problem(**stack, **cell)
    results, gradients = torch_run(given)
    close(given.results(), results, OUTPUT["float64"])
    close(given.gradients(), gradients, GRADIENT["float64"])


def _rnn(phi: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def step(p: dict[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
        return phi(p["weight_ih_l0"] @ x + p["bias_ih_l0"] + p["weight_hh_l0"] @ h + p["bias_hh_l0"])

    return step


def _gru_reset_before(p: dict[str, Tensor], x: Tensor, h: Tensor) -> Tensor:
    W_ir, W_iz, W_in = p["weight_ih_l0"].chunk(3)
    W_hr, W_hz, W_hn = p["weight_hh_l0"].chunk(3)
    b_ir, b_iz, b_in = p["bias_ih_l0"].chunk(3)
    b_hr, b_hz, b_hn = p["bias_hh_l0"].chunk(3)
    r = torch.sigmoid(W_ir @ x + b_ir + W_hr @ h + b_hr)
    z = torch.sigmoid(W_iz @ x + b_iz + W_hz @ h + b_hz)
    n = torch.tanh(W_in @ x + b_in + W_hn @ (r * h) + b_hn)
    return (1 - z) * n + z * h


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"cell": "RNN", "nonlinearity": "sigmoid"}, _rnn(torch.sigmoid)),
        ({"cell": "RNN", "nonlinearity": "identity"}, _rnn(lambda a: a)),
        ({"cell": "GRU", "reset_after": False}, _gru_reset_before),
    ],
    ids=["RNN-sigmoid", "RNN-identity", "GRU-reset-before"],
)
def test_formulas_that_torch_has_no_layer_for(
    problem: Callable[..., Any], close: Callable[..., None], options: dict[str, Any], step: Callable[..., Tensor]
) -> None:
    given = problem([4, 7, 1], **options)
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in given.arguments().items()}
    output = np.zeros_like(given.u_output)
    h_n = np.zeros_like(given.u_h_n[0])
    terms: list[Tensor] = []
    for row, length in enumerate(given.lengths):
        h = leaves["h_0[0]"][0, row]
        for t in range(length):
            h = step(leaves, leaves["input"][t, row], h)
            terms.append((h * torch.tensor(given.u_output[t, row])).sum())
            output[t, row] = h.detach().numpy()
        terms.append((h * torch.tensor(given.u_h_n[0][0, row])).sum())
        h_n[0, row] = h.detach().numpy()
    torch.autograd.backward(torch.stack(terms).sum())
    gradients = {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}
    close(given.results(), {"output": output, "h_n[0]": h_n}, OUTPUT["float64"])
    close(given.gradients(), gradients, GRADIENT["float64"])
