"""The gradient of every argument, for every cell, against central differences in float64."""

from collections.abc import Callable
from typing import Any

import pytest

from throughtime.spec.tolerances import CENTRAL

CELLS: list[dict[str, Any]] = [
    {"cell": "RNN", "nonlinearity": "tanh"},
    {"cell": "RNN", "nonlinearity": "relu"},
    {"cell": "RNN", "nonlinearity": "sigmoid"},
    {"cell": "RNN", "nonlinearity": "identity"},
    {"cell": "GRU", "reset_after": True},
    {"cell": "GRU", "reset_after": False},
    {"cell": "LSTM"},
]
NAMES = ["-".join(str(value) for value in cell.values()) for cell in CELLS]
Check = Callable[..., None]


@pytest.fixture
def check(problem: Callable[..., Any], central: Callable[..., Any], close: Check) -> Check:
    def run(lengths: list[int], **options: Any) -> None:
        given = problem(lengths, **options)
        close(given.gradients(), central(given.error, given.arguments()), CENTRAL)

    return run


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
@pytest.mark.parametrize("lengths", [[1, 1], [2, 2], [7, 7], [3, 7, 1]], ids=["1", "2", "7", "ragged"])
def test_one_layer(check: Check, cell: dict[str, Any], lengths: list[int]) -> None:
    check(lengths, **cell)


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
def test_bidirectional_layers_of_different_sizes_with_ragged_lengths(check: Check, cell: dict[str, Any]) -> None:
    check([1, 4, 2], hidden_size=(2, 3), bidirectional=True, **cell)


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
def test_three_layers_of_different_sizes(check: Check, cell: dict[str, Any]) -> None:
    check([3, 2], hidden_size=(3, 1, 2), **cell)


@pytest.mark.parametrize("cell", CELLS, ids=NAMES)
def test_without_biases(check: Check, cell: dict[str, Any]) -> None:
    check([2, 3], bias=False, **cell)
