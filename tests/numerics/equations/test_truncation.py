"""Truncated BPTT against its definition: the full gradient of every window, with the state before it detached."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime.equations.truncation import Window, windows
from throughtime.spec.errors import OptionError
from throughtime.spec.tolerances import CENTRAL, GRADIENT

CELLS: list[dict[str, Any]] = [
    {"cell": "RNN", "nonlinearity": "tanh"},
    {"cell": "GRU"},
    {"cell": "GRU", "reset_after": False},
    {"cell": "LSTM"},
    {"cell": "MinLSTM"},
    {"cell": "GRU", "layer_norm": True, "zoneout": (0.2, 0.0), "recurrent_dropout": 0.3, "training": True},
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
NAMES = ["RNN", "GRU-after", "GRU-before", "LSTM", "MinLSTM", "GRU-variant", "LSTM-variant"]
each_cell = pytest.mark.parametrize("cell", CELLS, ids=NAMES)
TRUNCATIONS = [(1, 1), (1, 3), (2, 2), (2, 5), (3, 4), (4, 4), (5, 6)]
SEQ_LEN = 7
Make = Callable[..., Any]


def _windows_by_definition(given: Any, k1: int, k2: int) -> list[tuple[int, int, Any]]:
    """(start, stop, problem of the stretch) of every window, written from docs/derivations/truncation.md anew."""
    stretches: list[tuple[int, int, Any]] = []
    for j in range(1, 100):
        if (j - 1) * k1 >= SEQ_LEN:
            return stretches
        first_step, last_step = max(1, j * k1 - k2 + 1), min(j * k1, SEQ_LEN)
        state = given.state
        if first_step > 1:
            before = given.with_steps(0, first_step - 1, given.state, 0).trace()
            state = (before.h_n, before.c_n) if given.options.has_cell_state else before.h_n
        stretches.append((first_step - 1, last_step, given.with_steps(first_step - 1, last_step, state, (j - 1) * k1)))
    raise AssertionError("unreachable")


def _sum(given: Any, stretches: list[tuple[int, int, Any]], gradients_of: Callable[[Any], Any]) -> dict[str, Any]:
    total = {name: np.zeros_like(value) for name, value in given.arguments().items()}
    for start, stop, stretch in stretches:
        for name, value in gradients_of(stretch).items():
            if name == "input":
                total[name][start:stop] += value
            elif start == 0 or name in given.parameters:
                total[name] += value
    return total


@each_cell
@pytest.mark.parametrize(("k1", "k2"), TRUNCATIONS)
def test_equals_the_sum_over_detached_windows(
    problem: Make, close: Callable[..., None], cell: dict[str, Any], k1: int, k2: int
) -> None:
    given = problem([SEQ_LEN] * 2, hidden_size=(3, 2), **cell)
    expected = _sum(given, _windows_by_definition(given, k1, k2), lambda stretch: stretch.gradients())
    close(given.gradients(truncation=(k1, k2)), expected, GRADIENT["float64"])


@each_cell
def test_equals_central_differences_over_detached_windows(
    problem: Make, central: Callable[..., Any], close: Callable[..., None], cell: dict[str, Any]
) -> None:
    given = problem([SEQ_LEN], hidden_size=(2, 2), **cell)
    stretches = _windows_by_definition(given, 3, 5)
    steep = given.options.layer_norm
    expected = _sum(given, stretches, lambda stretch: central(stretch.error, stretch.arguments(), steep=steep))
    close(given.gradients(truncation=(3, 5)), expected, CENTRAL)


@each_cell
@pytest.mark.parametrize(("k1", "k2"), [(1, 7), (7, 7), (2, 8), (3, 9), (5, 100), (100, 100)])
def test_is_exact_where_no_window_is_cut(
    problem: Make, close: Callable[..., None], cell: dict[str, Any], k1: int, k2: int
) -> None:
    given = problem([SEQ_LEN, 3, 5], hidden_size=(3, 2), **cell)
    close(given.gradients(truncation=(k1, k2)), given.gradients(), GRADIENT["float64"])


@each_cell
@pytest.mark.parametrize(("k1", "k2"), [(1, 6), (2, 7), (3, 8), (6, 6)])
def test_is_not_exact_where_one_is(problem: Make, cell: dict[str, Any], k1: int, k2: int) -> None:
    given = problem([SEQ_LEN], **cell)
    assert np.any(given.gradients(truncation=(k1, k2))["weight_ih_l0"] != given.gradients()["weight_ih_l0"])


def test_every_error_belongs_to_one_window_and_goes_through_the_promised_number_of_steps() -> None:
    for seq_len in range(1, 13):
        for k1 in range(1, 14):
            for k2 in range(k1, 15):
                owners = np.zeros(seq_len, dtype=int)
                for window in windows(seq_len, (k1, k2)):
                    owners[window.first_error : window.stop] += 1
                    for step in range(window.first_error, window.stop):
                        through = step - window.start + 1
                        assert through <= k2
                        assert through >= k2 - k1 + 1 or window.start == 0
                assert np.all(owners == 1)


def test_windows_of_an_example() -> None:
    assert windows(7, (3, 4)) == [Window(0, 0, 3), Window(2, 3, 6), Window(5, 6, 7)]
    assert windows(7, None) == [Window(0, 0, 7)]


@pytest.mark.parametrize("truncation", [(0, 1), (-1, 2), (3, 2)])
def test_refuses_windows_that_lose_errors(problem: Make, truncation: tuple[int, int]) -> None:
    with pytest.raises(OptionError, match=r"1 <= k1 <= k2, but is \("):
        problem([3], cell="GRU").gradients(truncation=truncation)


def test_refuses_a_bidirectional_stack(problem: Make) -> None:
    with pytest.raises(OptionError, match=r"truncation must be None for a bidirectional stack, but is \(1, 1\)"):
        problem([3], cell="GRU", bidirectional=True).gradients(truncation=(1, 1))
