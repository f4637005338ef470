"""What must hold to the bit: absent states are zeros, no error gives no gradient, padding is inert."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

Make = Callable[..., Any]
CELLS: dict[str, dict[str, Any]] = {
    "RNN-tanh": {"cell": "RNN"},
    "RNN-relu": {"cell": "RNN", "nonlinearity": "relu"},
    "RNN-sigmoid": {"cell": "RNN", "nonlinearity": "sigmoid"},  # φ(0) is not 0: a step computed on padding would show
    "RNN-identity": {"cell": "RNN", "nonlinearity": "identity"},
    "GRU-after": {"cell": "GRU"},
    "GRU-before": {"cell": "GRU", "reset_after": False},
    "LSTM": {"cell": "LSTM"},
}
LENGTHS = (2, 7, 1, 7, 5, 6, 3, 1, 4, 6, 2)
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


@each_cell
@each_dtype
def test_no_state_equals_zeros(
    problem: Make, run: Make, same_bits: Make, isa: str, dtype: str, cell: dict[str, Any]
) -> None:
    given = problem(LENGTHS, dtype, bidirectional=True, **cell)
    zeros = run(given, isa, state=[np.zeros_like(part) for part in given.state])
    absent = run(given, isa, state=[None for _ in given.state])
    same_bits(absent.values, zeros.values)
    same_bits(absent.gradients, zeros.gradients)
    assert np.any(zeros.values["h_n"] != run(given, isa).values["h_n"])


@each_cell
@each_dtype
def test_zero_upstream_gives_exactly_zero(problem: Make, run: Make, isa: str, dtype: str, cell: dict[str, Any]) -> None:
    given = problem(LENGTHS, dtype, bidirectional=True, **cell)
    silent = replace(
        given, u_output=np.where(np.isnan(given.u_output), given.u_output, np.zeros((), dtype)),
        u_state=[np.zeros_like(part) for part in given.u_state],
    )  # fmt: skip
    for name, value in run(silent, isa).gradients.items():
        assert np.all(value == 0.0), name


@each_cell
@each_dtype
def test_an_absent_upstream_gradient_of_the_state_equals_zeros(
    problem: Make, run: Make, same_bits: Make, isa: str, dtype: str, cell: dict[str, Any]
) -> None:
    given = problem(LENGTHS, dtype, bidirectional=True, **cell)
    zeros = run(replace(given, u_state=[np.zeros_like(part) for part in given.u_state]), isa)
    absent = run(replace(given, u_state=[None for _ in given.u_state]), isa)
    same_bits(absent.gradients, zeros.gradients)
    assert np.any(absent.gradients["h_0"] != 0.0)


@each_cell
def test_nan_in_one_sequence_reaches_no_other(
    problem: Make, run: Make, same_bits: Make, isa: str, cell: dict[str, Any]
) -> None:
    given = problem(LENGTHS, bidirectional=True, **cell)
    poisoned = replace(given, input=given.input.copy())
    poisoned.input[0, 1] = np.nan
    others = [row for row in range(len(LENGTHS)) if row != 1]
    got, expected = (run(p, isa) for p in (poisoned, given))
    for a, b in ((got.values, expected.values), (got.gradients, expected.gradients)):
        same_bits(*({name: v[:, others] for name, v in named.items() if name[1] in "_nu"} for named in (a, b)))
    assert np.all(np.isnan(got.values["output"][0, 1, :17]))


@each_cell
def test_the_final_state_is_that_of_the_last_real_step(
    problem: Make, run: Make, same_bits: Make, isa: str, cell: dict[str, Any]
) -> None:
    given = problem(LENGTHS, bidirectional=True, **cell)
    values = run(given, isa).values
    ends = [values["output"][length - 1, row, :17] for row, length in enumerate(LENGTHS)]
    same_bits({"h_n": values["h_n"]}, {"h_n": np.stack([np.stack(ends), values["output"][0, :, 17:]])})
