"""The tests can fail: each cell broken in ways that were shipped elsewhere, and the comparisons go red."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime.equations import direction, gru, lengths, lstm, product, readout, rnn, stack
from throughtime.spec import cells
from throughtime.spec.tolerances import CENTRAL, GRADIENT, OUTPUT

Make = Callable[..., Any]
Check = Callable[..., None]
CELLS: list[cells.Cell] = ["RNN", "GRU", "LSTM"]


@pytest.fixture
def against_torch(problem: Make, torch_run: Make, close: Check) -> Check:
    def run(cell: cells.Cell, **more: Any) -> None:
        given = problem([3, 5], input_size=3, cell=cell, **more)
        results, gradients = torch_run(given)
        close(given.results(), results, OUTPUT["float64"])
        close(given.gradients(), gradients, GRADIENT["float64"])

    return run


@pytest.fixture
def against_differences(problem: Make, central: Make, close: Check) -> Check:
    def run(cell: cells.Cell, **more: Any) -> None:
        given = problem([2, 3], cell=cell, **more)
        close(given.gradients(), central(given.error, given.arguments()), CENTRAL)

    return run


@pytest.fixture(autouse=True)
def green_before(against_torch: Check, against_differences: Check) -> None:
    for cell in CELLS:
        against_torch(cell)
    against_differences("GRU")


@pytest.mark.parametrize(
    ("cell", "order"),
    [
        ("GRU", ("z", "r", "n")),
        ("GRU", ("n", "z", "r")),
        ("LSTM", ("f", "i", "g", "o")),
        ("LSTM", ("i", "f", "o", "g")),
        ("LSTM", ("o", "f", "g", "i")),
    ],
)
def test_two_gates_swapped(
    monkeypatch: pytest.MonkeyPatch, against_torch: Check, cell: cells.Cell, order: tuple[str, ...]
) -> None:
    def rows(self: direction.Direction, gates: tuple[str, ...]) -> Any:
        every = np.arange(len(self.parameters["weight_ih"]))
        return np.concatenate([every[cells.gate_rows(order, gate, self.hidden_size)] for gate in gates])

    monkeypatch.setattr(direction.Direction, "_rows", rows)
    with pytest.raises(AssertionError, match="output"):
        against_torch(cell)


def test_the_two_matrices_of_the_rnn_swapped(monkeypatch: pytest.MonkeyPatch, against_torch: Check) -> None:
    right = product.product

    def swapped(parameters: Any, side: product.Side, *more: Any) -> product.Product:
        return right(parameters, "hh" if side == "ih" else "ih", *more)

    monkeypatch.setattr(direction, "product", swapped)
    with pytest.raises(AssertionError, match="output"):
        against_torch("RNN")


@pytest.mark.parametrize("cell", CELLS)
def test_a_bias_without_gradient(monkeypatch: pytest.MonkeyPatch, against_differences: Check, cell: cells.Cell) -> None:
    right = product.Product.back

    def no_bias(self: product.Product, delta: Any, d: Any) -> Any:
        return right(self, delta, {kind: value for kind, value in d.items() if kind != "bias_hh"})

    monkeypatch.setattr(product.Product, "back", no_bias)
    with pytest.raises(AssertionError, match="bias_hh_l0"):
        against_differences(cell)


@pytest.mark.parametrize("cell", CELLS)
def test_a_gradient_that_keeps_the_last_step_only(
    monkeypatch: pytest.MonkeyPatch, against_differences: Check, cell: cells.Cell
) -> None:
    right = product.Product.back

    def overwrite(self: product.Product, delta: Any, d: Any) -> Any:
        d["weight_ih"][self.rows] *= self.side != "ih"
        return right(self, delta, d)

    monkeypatch.setattr(product.Product, "back", overwrite)
    with pytest.raises(AssertionError, match="weight_ih_l0"):
        against_differences(cell)


@pytest.mark.parametrize(
    ("cell", "module", "name"),
    [
        ("RNN", rnn, "derivative"),
        ("GRU", gru, "d_sigmoid"),
        ("GRU", gru, "d_tanh"),
        ("LSTM", lstm, "d_sigmoid"),
        ("LSTM", lstm, "d_tanh"),
        ("LSTM", readout, "d_tanh"),
    ],
)
def test_a_derivative_left_out(
    monkeypatch: pytest.MonkeyPatch, against_differences: Check, cell: cells.Cell, module: Any, name: str
) -> None:
    monkeypatch.setattr(module, name, lambda *given: np.ones_like(given[-1]))
    with pytest.raises(AssertionError, match="input"):
        against_differences(cell)


def test_the_reset_on_the_wrong_side_of_the_product(monkeypatch: pytest.MonkeyPatch, against_torch: Check) -> None:
    with pytest.raises(AssertionError, match="output"):
        against_torch("GRU", reset_after=False)


@pytest.mark.parametrize("cell", CELLS)
def test_a_reverse_direction_that_starts_in_the_padding(
    monkeypatch: pytest.MonkeyPatch, against_torch: Check, cell: cells.Cell
) -> None:
    monkeypatch.setattr(stack, "reversed_within", lambda array, _: array[::-1].copy())
    with pytest.raises(AssertionError, match="output"):
        against_torch(cell, bidirectional=True)


@pytest.mark.parametrize("cell", CELLS)
def test_a_final_state_that_is_taken_for_the_padded_end(
    monkeypatch: pytest.MonkeyPatch, against_differences: Check, cell: cells.Cell
) -> None:
    def at_padded_end(values: Any, own: Any, seq_len: int) -> Any:
        return lengths.at_last_step(values, np.full_like(own, seq_len), seq_len)

    monkeypatch.setattr(stack, "at_last_step", at_padded_end)
    with pytest.raises(AssertionError, match="input"):
        against_differences(cell)
