"""Padding is inert, a batch changes nothing, absent states are zeros, and no error gives exactly no gradient."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.equations import backward, forward
from throughtime.spec.tolerances import GRADIENT, OUTPUT

CELLS: list[dict[str, Any]] = [
    {"cell": "RNN", "nonlinearity": "sigmoid"},  # φ(0) is not 0: a step computed on padding would show
    {"cell": "GRU"},
    {"cell": "GRU", "reset_after": False},
    {"cell": "LSTM"},
    {"cell": "MinGRU"},
    {"cell": "MinLSTM", "zoneout": (0.2, 0.0), "training": True},
    {"cell": "IndRNN"},
    {"cell": "GRU", "layer_norm": True, "recurrent_dropout": 0.3, "training": True},
    {
        "cell": "LSTM",
        "peephole": True,
        "coupled_gates": True,
        "proj_size": 1,
        "zoneout": (0.2, 0.3),
        "weight_dropout": 0.3,
        "training": True,
    },
]
NAMES = ["RNN", "GRU-after", "GRU-before", "LSTM", "MinGRU", "MinLSTM", "IndRNN", "GRU-variant", "LSTM-variant"]
STACK: dict[str, Any] = {"lengths": [2, 7, 1, 5], "hidden_size": (3, 2), "bidirectional": True}
each_cell = pytest.mark.parametrize("cell", CELLS, ids=NAMES)
Make = Callable[..., Any]


@each_cell
def test_outputs_and_input_gradients_past_a_length_are_exactly_zero(problem: Make, cell: dict[str, Any]) -> None:
    given = problem(**STACK, **cell)
    past = np.arange(7)[:, None] >= np.array(given.lengths)
    assert np.all(given.trace().output[past] == 0.0)
    assert np.all(given.trace().output[~past] != 0.0)
    assert np.all(given.gradients()["input"][past] == 0.0)
    assert np.all(given.gradients()["input"][~past] != 0.0)


@each_cell
def test_nan_in_padding_and_in_its_upstream_gradient_changes_nothing(problem: Make, cell: dict[str, Any]) -> None:
    given = problem(**STACK, **cell)
    results, gradients = given.results(), given.gradients()
    past = np.arange(7)[:, None] >= np.array(given.lengths)
    given.input[past] = np.nan
    given.u_output[past] = np.nan
    for masks in itertools.chain.from_iterable(given.masks or []):
        for mask in (masks.zoneout_h, masks.zoneout_c):
            if mask is not None:
                mask[past] = ~mask[past]
    for name, value in given.results().items():
        np.testing.assert_array_equal(value, results[name], err_msg=name)
    for name, value in given.gradients().items():
        np.testing.assert_array_equal(value, gradients[name], err_msg=name)


@each_cell
@pytest.mark.parametrize("truncation", [None, (2, 3)], ids=["full", "truncated"])
def test_each_sequence_alone_gives_the_same(
    problem: Make, close: Callable[..., None], cell: dict[str, Any], truncation: tuple[int, int] | None
) -> None:
    given = problem(**STACK | {"bidirectional": truncation is None}, **cell)
    results, gradients = given.results(), given.gradients(truncation=truncation)
    summed = {name: np.zeros_like(value) for name, value in given.parameters.items()}
    for row, length in enumerate(given.lengths):

        def one(state: list[Any], row: int = row) -> list[Any]:
            return [part[:, row : row + 1] for part in state]

        alone = replace(
            given,
            lengths=[length],
            input=given.input[:length, row : row + 1],
            u_output=given.u_output[:length, row : row + 1],
            masks=given.masks_of(slice(length), slice(row, row + 1)),
            **{name: one(getattr(given, name)) for name in ("h_0", "c_0", "u_h_n", "u_c_n")},
        )
        for name, value in alone.results().items():
            expected = results[name][: value.shape[0], row : row + 1]
            close({name: value}, {name: expected}, OUTPUT["float64"])
        for name, value in alone.gradients(truncation=truncation).items():
            if name in summed:
                summed[name] += value
            else:
                expected = gradients[name][: value.shape[0], row : row + 1]
                close({name: value}, {name: expected}, GRADIENT["float64"])
    close(summed, {name: gradients[name] for name in summed}, GRADIENT["float64"])


@each_cell
def test_no_state_equals_zeros_and_no_lengths_equals_full_ones(problem: Make, cell: dict[str, Any]) -> None:
    given = problem(**STACK | {"lengths": [4, 4]}, **cell)
    for part in (*given.h_0, *given.c_0):
        part[...] = 0.0
    without = forward(given.options, given.parameters, given.input, masks=given.masks)
    for name, value in {"output": without.output, "h_n[0]": without.h_n[0], "h_n[1]": without.h_n[1]}.items():
        np.testing.assert_array_equal(value, given.results()[name])


@each_cell
@pytest.mark.parametrize("truncation", [None, (1, 2)], ids=["full", "truncated"])
def test_zero_upstream_gives_exactly_zero(
    problem: Make, cell: dict[str, Any], truncation: tuple[int, int] | None
) -> None:
    given = problem(**STACK | {"bidirectional": truncation is None}, **cell)
    for part in (given.u_output, *given.u_h_n, *given.u_c_n):
        part[...] = 0.0
    for name, value in given.gradients(truncation=truncation).items():
        assert np.all(value == 0.0), name


@each_cell
def test_an_absent_upstream_gradient_equals_zeros(problem: Make, cell: dict[str, Any]) -> None:
    given = problem(**STACK, **cell)
    only_h_n = replace(
        given, u_output=np.zeros_like(given.u_output), u_c_n=[np.zeros_like(part) for part in given.u_c_n]
    )
    absent = backward(given.trace(), None, given.u_h_n)
    np.testing.assert_array_equal(absent.d_input, only_h_n.gradients()["input"])
    assert np.any(absent.d_input != 0.0)


@each_cell
def test_the_final_state_is_that_of_the_last_real_step(problem: Make, cell: dict[str, Any]) -> None:
    given = problem(**STACK, **cell)
    trace = given.trace()
    (last, first), features = trace.h_n[-1], given.options.output_features(-1)
    for row, length in enumerate(given.lengths):
        np.testing.assert_array_equal(last[row], trace.output[length - 1, row, :features])
        np.testing.assert_array_equal(first[row], trace.output[0, row, features:])


def test_backward_does_not_see_later_changes_of_the_arguments(problem: Make) -> None:
    given = problem(**STACK, cell="LSTM", zoneout=(0.2, 0.3), recurrent_dropout=0.3, weight_dropout=0.3, training=True)
    trace, expected = given.trace(), given.gradients()
    for array in given.arguments().values():
        array *= 2.0
    for masks in itertools.chain.from_iterable(given.masks):
        for mask in vars(masks).values():
            mask[...] = 0
    got = backward(trace, given.u_output, given.u_h_n, given.u_c_n)
    np.testing.assert_array_equal(got.d_input, expected["input"])
    np.testing.assert_array_equal(got.d_parameters["weight_hh_l1"], expected["weight_hh_l1"])
