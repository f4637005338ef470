"""The stacks, on NumPy and on the native core, against torch, and against the equations for what torch lacks."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from throughtime.equations import forward
from throughtime.runtime.recurrent import RecurrentStack
from throughtime.spec.cells import Cell, LayerOptions, parameter_shapes
from throughtime.spec.errors import ShapeError
from throughtime.spec.tolerances import OUTPUT

Array = NDArray[Any]
LENGTHS = [[1], [2], [7], [3, 7, 1, 7, 2], [1, 1], [5, 4]]
DTYPES = ["float32", "float64"]
NATIVE = pytest.mark.parametrize("native", [True, False], ids=["native", "numpy"])


def random_parameters(options: LayerOptions, dtype: str, seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(-0.7, 0.7, shape).astype(dtype) for name, shape in parameter_shapes(options).items()}


def random_input(options: LayerOptions, lengths: list[int], dtype: str) -> Array:
    return np.random.default_rng(1).normal(size=(sum(lengths), options.input_size)).astype(dtype)


def assert_close(actual: Array, expected: Array, dtype: str) -> None:
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=OUTPUT[dtype].rtol, atol=OUTPUT[dtype].atol)


@NATIVE
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN", "RNN relu"])
def test_equals_torch(
    native: bool, cell: str, bias: bool, layers: int, bidirectional: bool, lengths: list[int], dtype: str
) -> None:
    name, _, nonlinearity = cell.partition(" ")
    extra = {"nonlinearity": nonlinearity} if nonlinearity else {}
    options = LayerOptions(name, 4, (3,) * layers, bias, bidirectional, **extra)  # type: ignore[arg-type]
    parameters, x = random_parameters(options, dtype), random_input(options, lengths, dtype)
    module = getattr(torch.nn, name)(4, 3, layers, bias=bias, bidirectional=bidirectional, **extra)
    module = module.to(getattr(torch, dtype))
    module.load_state_dict({key: torch.from_numpy(value) for key, value in parameters.items()})
    pieces = list(torch.split(torch.from_numpy(x), lengths))
    with torch.no_grad():
        packed, state = module(torch.nn.utils.rnn.pack_sequence(pieces, enforce_sorted=False))
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(packed)
    expected = np.concatenate([padded[:length, row].numpy() for row, length in enumerate(lengths)])
    h_n = (state[0] if name == "LSTM" else state).numpy()

    result = RecurrentStack(options, parameters, native=native).forward(x, np.array(lengths))

    assert_close(result.output, expected, dtype)
    assert_close(np.concatenate(result.h_n), h_n, dtype)


@NATIVE
@pytest.mark.parametrize(
    ("cell", "extra"),
    [
        ("RNN", {"nonlinearity": "sigmoid"}),
        ("RNN", {"nonlinearity": "identity"}),
        ("RNN", {"nonlinearity": "tanh"}),
        ("GRU", {"reset_after": False}),
        ("GRU", {"reset_after": True}),
        ("LSTM", {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_the_equations(
    native: bool, cell: Cell, extra: Any, bidirectional: bool, bias: bool, dtype: str
) -> None:
    options = LayerOptions(cell, 4, (3, 5, 2), bias, bidirectional, **extra)
    lengths = [3, 7, 1, 7, 2]
    parameters, x = random_parameters(options, dtype), random_input(options, lengths, dtype)
    padded = np.zeros((max(lengths), len(lengths), 4))
    starts = np.cumsum([0, *lengths])
    for row, length in enumerate(lengths):
        padded[:length, row] = x[starts[row] : starts[row + 1]]
    exact = {name: value.astype(np.float64) for name, value in parameters.items()}
    trace = forward(options, exact, padded, np.array(lengths))
    expected = np.concatenate([trace.output[:length, row] for row, length in enumerate(lengths)])

    result = RecurrentStack(options, parameters, native=native).forward(x, np.array(lengths))

    assert_close(result.output, expected, dtype)
    for actual, wanted in zip(result.h_n, trace.h_n, strict=True):
        assert_close(actual, wanted, dtype)


@NATIVE
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_an_index_looks_rows_up(native: bool, cell: Cell) -> None:
    options = LayerOptions(cell, 4, (3,), bidirectional=True)
    stack = RecurrentStack(options, random_parameters(options, "float64"), native=native)
    table = random_input(options, [6], "float64")
    index = np.array([5, 0, 0, 3, 5, 1, 2])
    looked_up = stack.forward(table, np.array([4, 3]), index).output
    assert_close(looked_up, stack.forward(table[index], np.array([4, 3])).output, "float64")


@NATIVE
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_company_in_the_batch_changes_nothing(native: bool, cell: Cell, lengths: list[int]) -> None:
    options = LayerOptions(cell, 2, (3, 2), bidirectional=True)
    stack = RecurrentStack(options, random_parameters(options, "float64"), native=native)
    x = random_input(options, lengths, "float64")
    together = stack.forward(x, np.array(lengths))
    starts = np.cumsum([0, *lengths])
    for row, length in enumerate(lengths):
        piece = slice(starts[row], starts[row + 1])
        alone = stack.forward(x[piece], np.array([length]))
        assert_close(together.output[piece], alone.output, "float64")
        for every, one in zip(together.h_n, alone.h_n, strict=True):
            assert_close(every[:, row], one[:, 0], "float64")


@NATIVE
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("size", [1e4, -1e4, 3e38])
def test_saturated_gates_overflow_nowhere(native: bool, cell: Cell, size: float) -> None:
    options = LayerOptions(cell, 1, (2,), bias=False)
    parameters = {name: np.ones(shape, np.float32) for name, shape in parameter_shapes(options).items()}
    output = (
        RecurrentStack(options, parameters, native=native)
        .forward(np.full((3, 1), size, np.float32), np.array([3]))
        .output
    )
    assert np.isfinite(output).all()
    assert np.abs(output).max() <= 1


@NATIVE
def test_neither_input_nor_parameters_are_changed(native: bool) -> None:
    options = LayerOptions("LSTM", 2, (3,), bidirectional=True)
    parameters, x = random_parameters(options, "float32"), random_input(options, [4, 2], "float32")
    copies = {name: value.copy() for name, value in parameters.items()}
    stack = RecurrentStack(options, parameters, native=native)
    first = stack.forward(x, np.array([4, 2]))
    second = stack.forward(x, np.array([4, 2]))
    np.testing.assert_array_equal(first.output, second.output)
    np.testing.assert_array_equal(x, random_input(options, [4, 2], "float32"))
    for name, value in parameters.items():
        np.testing.assert_array_equal(value, copies[name])


@NATIVE
def test_wrong_shapes_are_named(native: bool) -> None:
    options = LayerOptions("GRU", 2, (3,))
    parameters = random_parameters(options, "float32")
    stack = RecurrentStack(options, parameters, native=native)
    with pytest.raises(ShapeError, match=r"x must have shape \(rows, 2\), but is \(4, 3\)"):
        stack.forward(np.zeros((4, 3), np.float32), np.array([4]))
    for lengths in ([3], [4, 0], [], [5, -1]):
        with pytest.raises(ShapeError, match="lengths must be at least 1 and sum to the 4 steps"):
            stack.forward(np.zeros((4, 2), np.float32), np.array(lengths, dtype=int))
    with pytest.raises(ShapeError, match=r"bias_hh_l0 must have shape \(9,\), but is \(8,\)"):
        RecurrentStack(options, parameters | {"bias_hh_l0": np.zeros(8, np.float32)}, native=native)
    del parameters["bias_hh_l0"]
    with pytest.raises(ShapeError, match=r"bias_hh_l0 must have shape \(9,\), but is nothing"):
        RecurrentStack(options, parameters, native=native)
