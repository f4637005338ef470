"""An infinite input makes no gradients infinite or NaN but those that are so on torch's operations, at any size."""

from typing import Any

import pytest
import torch

import throughtime.nn

LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"zoneout": 0.1}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"zoneout": 0.1}),
    ("LSTM", {}),
    ("LSTM", {"bidirectional": True}),
    ("LSTM", {"zoneout": 0.1}),
    ("LSTM", {"peephole": True}),
    ("LSTM", {"coupled_gates": True}),
    ("LSTM", {"proj_size": 3}),
    ("MinGRU", {}),
    ("MinLSTM", {}),
    ("IndRNN", {"nonlinearity": "tanh"}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("hidden_size", [5, 8, 12])
@pytest.mark.parametrize(("cell", "options"), LAYERS)
def test_what_is_not_finite(cell: str, options: dict[str, Any], hidden_size: int, dtype: torch.dtype) -> None:
    x = torch.randn(7, 3, 4, dtype=dtype)
    x[3, 0, 1] = torch.inf
    weights: dict[str, torch.Tensor] | None = None
    found = []
    for backend in ("native", "torch"):
        layer = getattr(throughtime.nn, cell)(4, hidden_size, dtype=dtype, backend=backend, **options).eval()
        weights = layer.state_dict() if weights is None else weights
        layer.load_state_dict(weights)
        given = x.clone().requires_grad_()
        output = layer(given)[0]
        output.nan_to_num(0.0, 0.0, 0.0).sum().backward()
        found.append([output, given.grad, *(p.grad for p in layer.parameters())])
    for ours, expected in zip(*found, strict=True):
        assert torch.equal(ours.isfinite(), expected.isfinite())
