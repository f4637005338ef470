"""Inputs given as rows of a table: the projection of each distinct row once, and its gradients once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.spec.cells import suffix

Make = Callable[..., Any]
CELLS: dict[str, dict[str, Any]] = {
    "RNN": {"cell": "RNN"},
    "GRU-after": {"cell": "GRU"},
    "GRU-before": {"cell": "GRU", "reset_after": False},
    "LSTM": {"cell": "LSTM"},
    "LSTM-without-bias": {"cell": "LSTM", "bias": False},
}
LENGTHS = (9, 2, 40, 7, 33, 40, 1, 18, 40, 5)
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_size = pytest.mark.parametrize(
    ("input_size", "hidden_size", "rows"), [(1, 1, 1), (3, 17, 5), (17, 3, 300), (130, 100, 40)]
)


def by_token(given: Any, grid: Any) -> Any:
    """The ids (seq_len, batch) of the real steps, step by step, sequences by falling length: layer.h's order."""
    order = np.argsort(-np.array(given.lengths), kind="stable")
    return np.concatenate(
        [[row[b] for b in order if given.lengths[b] > t] for t, row in enumerate(grid)], dtype=np.int32
    )


@pytest.fixture
def of_table(problem: Make) -> Make:
    """of_table(dtype, rows, …): a problem whose inputs are rows of a table; the table; the ids (tokens)."""

    def make(dtype: str, rows: int, **more: Any) -> tuple[Any, Any, Any]:
        given = problem(LENGTHS, dtype, bidirectional=True, **more)
        rng = np.random.default_rng(2)
        table = rng.uniform(-1, 1, (rows, given.options.input_size)).astype(dtype)
        grid = rng.integers(0, rows, given.past.shape)
        x = np.where(given.past[..., None], np.array(np.nan, dtype), table[grid])
        return replace(given, input=x), table, by_token(given, grid)

    return make


def project(kernel: Any, table: Any) -> list[Any]:
    projected = []
    for packed in kernel.packed:
        projected.append(kernel.empty(len(table), kernel.layer.input_width))
        kernel.layer.project(packed, table, projected[-1], kernel.threads)
    return projected


@each_cell
@each_dtype
@each_size
@pytest.mark.parametrize("threads", [1, 2])
def test_forward_is_that_of_the_inputs(
    of_table: Make,
    kernel: Make,
    same_bits: Make,
    isa: str,
    dtype: str,
    cell: dict[str, Any],
    input_size: int,
    hidden_size: int,
    rows: int,
    threads: int,
) -> None:
    given, table, ids = of_table(dtype, rows, input_size=input_size, hidden_size=hidden_size, **cell)
    direct, of_rows = kernel(given, isa), kernel(given, isa, threads)
    expected = direct.forward(given.state)
    same_bits(of_rows.forward(given.state, project(of_rows, table), ids), expected)


@each_cell
@each_dtype
@each_size
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_those_of_the_inputs(
    of_table: Make,
    kernel: Make,
    run: Make,
    close: Make,
    isa: str,
    dtype: str,
    cell: dict[str, Any],
    input_size: int,
    hidden_size: int,
    rows: int,
    threads: int,
) -> None:
    given, table, ids = of_table(dtype, rows, input_size=input_size, hidden_size=hidden_size, **cell)
    direct, of_rows = run(given, isa), kernel(given, isa, threads)
    forward = of_rows.forward(given.state, project(of_rows, table), ids)
    gradients = of_rows.backward(given.state, forward, with_input=False)
    expected = dict(direct.gradients)
    order = np.argsort(-np.array(LENGTHS), kind="stable")
    d_tokens = np.concatenate(
        [[step[b] for b in order if LENGTHS[b] > t] for t, step in enumerate(expected.pop("input"))]
    )
    expected["table"] = np.zeros(table.shape)
    np.add.at(expected["table"], ids, d_tokens)
    got = {name: value for name, value in gradients.items() if "[" not in name}
    got["table"] = np.zeros_like(table)
    for d, packed in enumerate(of_rows.packed_back):
        d_projected = of_rows.empty(rows, of_rows.layer.input_width)
        of_rows.layer.scatter(of_rows.plan, gradients[f"d_gates[{d}]"], ids, d_projected, threads)
        d_table, d_weight = of_rows.empty(*table.shape), np.full_like(given.parameters["weight_ih_l0"], np.nan)
        of_rows.layer.project_backward(packed, table, d_projected, d_table, d_weight, threads)
        got["table"] += d_table
        got["weight_ih" + suffix(0, d)] = d_weight
    close(replace(direct, gradients=got), replace(direct, gradients=expected))
