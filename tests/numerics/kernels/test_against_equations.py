"""The native core against the NumPy reference: every cell and option, every argument, every instruction set."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Make = Callable[..., Any]

CELLS: dict[str, dict[str, Any]] = {
    "RNN-tanh": {"cell": "RNN"},
    "RNN-relu": {"cell": "RNN", "nonlinearity": "relu"},
    "RNN-sigmoid": {"cell": "RNN", "nonlinearity": "sigmoid"},
    "RNN-identity": {"cell": "RNN", "nonlinearity": "identity"},
    "RNN-without-bias": {"cell": "RNN", "bias": False},
    "GRU-after": {"cell": "GRU"},
    "GRU-before": {"cell": "GRU", "reset_after": False},
    "GRU-without-bias": {"cell": "GRU", "bias": False},
    "GRU-before-without-bias": {"cell": "GRU", "reset_after": False, "bias": False},
    "LSTM": {"cell": "LSTM"},
    "LSTM-without-bias": {"cell": "LSTM", "bias": False},
}
# A tile has at most 8 rows. Each size meets a batch of 1 and one of more than a tile, equal lengths and ragged ones.
RAGGED = (2, 7, 1, 7, 5, 6, 3, 1, 4, 6, 2, 7, 7)
SHAPES = [
    (1, 1, (1,)),
    (3, 1, (2, 2)),
    (100, 1, RAGGED),
    (1, 3, (7,)),
    (17, 3, RAGGED),
    (3, 3, (7,) * 9),
    (17, 17, (1,) * 4),
    (100, 17, RAGGED),
    (3, 17, (7,) * 11),
    (1, 17, (2,)),
    (17, 100, RAGGED),
    (100, 100, (7,)),
    (3, 100, (2,) * 9),
]
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_direction = pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-ways"])


@each_dtype
@each_direction
@each_cell
@pytest.mark.parametrize(
    ("input_size", "hidden_size", "lengths"), SHAPES, ids=[f"{i}-{h}-{max(s)}x{len(s)}" for i, h, s in SHAPES]
)
def test_values_and_all_gradients(
    problem: Make,
    run: Make,
    reference: Make,
    close: Make,
    isa: str,
    dtype: str,
    cell: dict[str, Any],
    bidirectional: bool,
    input_size: int,
    hidden_size: int,
    lengths: tuple[int, ...],
) -> None:
    given = problem(lengths, dtype, input_size=input_size, hidden_size=hidden_size, bidirectional=bidirectional, **cell)
    got = run(given, isa)
    assert np.all(got.values["output"][given.past] == 0.0)
    assert np.all(got.gradients["input"][given.past] == 0.0)
    close(got, reference(given))


@each_dtype
@each_cell
@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    ("hidden_size", "lengths"), [(40, (60, 20, 50, 61, 7)), (100, RAGGED), (300, (7, 21)), (300, (21, 21, 21))]
)
def test_on_threads(
    problem: Make,
    run: Make,
    reference: Make,
    close: Make,
    dtype: str,
    cell: dict[str, Any],
    threads: int,
    hidden_size: int,
    lengths: tuple[int, ...],
    isa: str,
) -> None:
    """Both ways of sharing the work: rows of the batch, and hidden units where the batch is small.

    There is enough to do for threads to be started.
    """
    given = problem(lengths, dtype, input_size=17, hidden_size=hidden_size, bidirectional=threads > 2, **cell)
    close(run(given, isa, threads=threads), reference(given), sums=hidden_size == 300)


@each_dtype
@each_cell
def test_a_long_sequence(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, dtype: str, cell: dict[str, Any]
) -> None:
    """More tokens than the chunks of the input projection and of the weights' gradients hold."""
    given = problem((150, 40, 97), dtype, input_size=130, hidden_size=5, bidirectional=True, **cell)
    close(run(given, isa, threads=2), reference(given))


@each_dtype
@each_cell
def test_many_inputs(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, dtype: str, cell: dict[str, Any]
) -> None:
    """More inputs than a piece of the input projection's inner loop has steps on any instruction set (512, 1024)."""
    given = problem((7, 2, 4), dtype, input_size=1030, hidden_size=5, bidirectional=True, **cell)
    close(run(given, isa, threads=2), reference(given), sums=True)
