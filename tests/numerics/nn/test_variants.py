"""Every variant against the NumPy reference, training with the masks that the layer draws, and not training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import throughtime.nn

# What torch says where oneDNN has no kernel.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")

DROPS = {"recurrent_dropout": 0.4, "weight_dropout": 0.3}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *(
        (cell, options)
        for cell in ("RNN", "GRU", "LSTM")
        for options in ({"layer_norm": True}, {"zoneout": 0.3}, DROPS)
    ),
    ("RNN", {"nonlinearity": "relu", "layer_norm": True, "zoneout": 0.3, **DROPS}),
    ("RNN", {"layer_norm": True, "bias": False}),
    ("GRU", {"layer_norm": True, "zoneout": 0.3, **DROPS}),
    ("GRU", {"layer_norm": True, "bias": False}),
    ("GRU", {"reset_after": False, "layer_norm": True}),
    ("GRU", {"reset_after": False, "layer_norm": True, "zoneout": 0.3, **DROPS}),
    ("GRU", {"reset_after": False, "layer_norm": True, "bias": False}),
    ("LSTM", {"zoneout": (0.0, 0.5)}),
    ("LSTM", {"zoneout": (0.5, 0.0)}),
    ("LSTM", {"peephole": True}),
    ("LSTM", {"coupled_gates": True}),
    ("LSTM", {"proj_size": 2}),
    ("LSTM", {"proj_size": 2, "bias": False, "zoneout": (0.3, 0.2), **DROPS}),
    ("LSTM", {"peephole": True, "coupled_gates": True, "layer_norm": True, "bias": False}),
    ("LSTM", {"peephole": True, "layer_norm": True, "zoneout": (0.3, 0.2), **DROPS}),
    ("LSTM", {"peephole": True, "coupled_gates": True, "proj_size": 2, "layer_norm": True, "zoneout": 0.2, **DROPS}),
    ("MinGRU", {}),
    ("MinGRU", {"zoneout": 0.3, "bias": False}),
    ("MinLSTM", {}),
    ("MinLSTM", {"zoneout": 0.3, "bias": False}),
    ("IndRNN", {}),
    ("IndRNN", {"nonlinearity": "tanh", "zoneout": 0.3}),
    ("IndRNN", {"nonlinearity": "sigmoid", "bias": False}),
]


def _layer(cell: str, hidden_size: list[int], **options: Any) -> Any:
    return getattr(throughtime.nn, cell)(3, hidden_size, **options)


@pytest.mark.parametrize(("cell", "options"), VARIANTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("hidden_size", "bidirectional", "lengths"),
    [([4, 4], False, None), ([3, 5], True, [2, 7, 1]), ([4], True, [1, 1, 1])],
)
def test_values_and_all_gradients(
    cell: str,
    options: dict[str, Any],
    training: bool,
    hidden_size: list[int],
    bidirectional: bool,
    lengths: list[int] | None,
    backend: str,
    against_equations: Callable[..., None],
    skip_if_the_core_lacks: Callable[[Any], None],
) -> None:
    layer = _layer(cell, hidden_size, bidirectional=bidirectional, dtype=torch.float64, backend=backend, **options)
    layer.train(training)
    skip_if_the_core_lacks(layer)
    against_equations(layer, torch.randn(max(lengths or [7]), 3, 3, dtype=torch.float64), lengths)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("cell", "options"), VARIANTS)
def test_in_float32(
    cell: str,
    options: dict[str, Any],
    backend: str,
    against_equations: Callable[..., None],
    skip_if_the_core_lacks: Callable[[Any], None],
) -> None:
    layer = _layer(cell, [5, 6], bidirectional=True, backend=backend, **options)
    skip_if_the_core_lacks(layer)
    against_equations(layer, torch.randn(5, 3, 3), [5, 2, 4])
