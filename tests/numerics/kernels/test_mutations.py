"""The comparison with the equations can fail: packed weights and their gradients in the wrong order go red."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.spec.cells import GATES, Cell, gate_rows

Make = Callable[..., Any]
SWAPS: list[tuple[Cell, str, str]] = [
    ("GRU", "r", "z"),
    ("GRU", "z", "n"),
    ("GRU", "r", "n"),
    ("LSTM", "i", "f"),
    ("LSTM", "f", "o"),
    ("LSTM", "g", "o"),
    ("LSTM", "i", "g"),
    ("LSTM", "i", "o"),
]
LENGTHS = (3, 5)


def swapped(cell: Cell, value: Any, one: str, other: str) -> Any:
    changed, size = value.copy(), 17
    changed[gate_rows(GATES[cell], one, size)] = value[gate_rows(GATES[cell], other, size)]
    changed[gate_rows(GATES[cell], other, size)] = value[gate_rows(GATES[cell], one, size)]
    return changed


@pytest.fixture(params=["float32", "float64"])
def goes_red(request: pytest.FixtureRequest, problem: Make, run: Make, reference: Make, close: Make, isa: str) -> Make:
    """goes_red(change, cell=…): the core on the changed problem is not what the equations give for the right one."""

    def compare(change: Callable[[Any], Any], **options: Any) -> None:
        given = problem(LENGTHS, request.param, **options)
        close(run(given, isa), reference(given))  # green before
        with pytest.raises(AssertionError, match="output"):
            close(run(change(given), isa), reference(given))

    return compare


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"])
@pytest.mark.parametrize(("cell", "one", "other"), SWAPS)
def test_two_gates_swapped(goes_red: Make, cell: Cell, one: str, other: str, name: str) -> None:
    def change(given: Any) -> Any:
        return replace(given, parameters=given.parameters | {name: swapped(cell, given.parameters[name], one, other)})

    goes_red(change, cell=cell)
    if cell == "GRU":
        goes_red(change, cell=cell, reset_after=False)


@pytest.mark.parametrize(("cell", "one", "other"), SWAPS)
def test_the_gradients_of_two_gates_swapped(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, cell: Cell, one: str, other: str
) -> None:
    given = problem(LENGTHS, cell=cell)
    got = run(given, isa)
    close(got, reference(given))
    for name in given.parameters:
        wrong = got.gradients | {name: swapped(cell, got.gradients[name], one, other)}
        with pytest.raises(AssertionError, match=name):
            close(replace(got, gradients=wrong), reference(given))


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_directions_swapped(goes_red: Make, cell: Cell) -> None:
    def change(given: Any) -> Any:
        def other(name: str) -> str:
            return name.removesuffix("_reverse") if name.endswith("_reverse") else name + "_reverse"

        return replace(given, parameters={name: given.parameters[other(name)] for name in given.parameters})

    goes_red(change, cell=cell, bidirectional=True)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_last_step_left_out(goes_red: Make, cell: Cell) -> None:
    goes_red(lambda given: replace(given, lengths=(3, 4)), cell=cell)


@pytest.mark.parametrize("part", [0, 1])
def test_an_initial_state_left_out(goes_red: Make, part: int) -> None:
    def change(given: Any) -> Any:
        state = list(given.state)
        state[part] = np.zeros_like(state[part])
        return replace(given, state=state)

    goes_red(change, cell="LSTM")
