"""The layers against the NumPy reference with its gradients derived by hand: every option, every argument."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import throughtime.nn
from throughtime.nn import fused

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "identity"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
    ("LSTM", {"bias": False}),
]


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("hidden_size", [[3, 5], [4, 4]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("lengths", "way"),
    [
        (lengths, way)
        for lengths in (None, [1, 1, 1], [2, 2, 2], [2, 7, 1])
        for way in ("native", "held", "packed")
        if way != "packed" or lengths == [2, 7, 1]
    ],
)
def test_values_and_all_gradients(
    cell: str,
    options: dict[str, Any],
    hidden_size: list[int],
    bidirectional: bool,
    lengths: list[int] | None,
    way: str,
    against_equations: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "prefers_packing", lambda ragged: way == "packed")
    options = {**options, "backend": "native" if way == "native" else "torch"}
    layer = getattr(throughtime.nn, cell)(3, hidden_size, bidirectional=bidirectional, dtype=torch.float64, **options)
    against_equations(layer, torch.randn(max(lengths or [7]), 3, 3, dtype=torch.float64), lengths)
