"""The tests can fail: each variant broken in a way that would be easy to write, and the comparisons go red."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.equations import direction, layer_norm, lstm, peephole, product, readout, stack, zoneout
from throughtime.spec import cells
from throughtime.spec.tolerances import CENTRAL, GRADIENT, OUTPUT

Make = Callable[..., Any]
Check = Callable[..., None]
Patch = pytest.MonkeyPatch
LSTM: dict[str, Any] = {"cell": "LSTM"}
DROPOUT: dict[str, Any] = {"recurrent_dropout": 0.4, "weight_dropout": 0.3}
ZONEOUT: dict[str, Any] = {"zoneout": (0.4, 0.3), "training": True}


@pytest.fixture
def red(problem: Make, formula_run: Make, central: Make, close: Check) -> Callable[..., Any]:
    """red(break_it, match, options): equal to the formulas before break_it(), and not after.

    of="values": other results than the formulas'. of="gradients": other gradients than central differences, of the
    same values as the formulas'.
    """

    def check(break_it: Callable[[], None], match: str, of: str, **options: Any) -> None:
        given = problem([3, 5], **options)
        results, gradients = formula_run(given)
        close(given.results(), results, OUTPUT["float64"])
        close(given.gradients(), gradients, GRADIENT["float64"])
        break_it()
        if of == "values":
            with pytest.raises(AssertionError, match=match):
                close(given.results(), results, OUTPUT["float64"])
            return
        close(given.results(), results, OUTPUT["float64"])
        expected = central(given.error, given.arguments(), steep=given.options.layer_norm)
        with pytest.raises(AssertionError, match=match):
            close(given.gradients(), expected, CENTRAL)

    return check


@pytest.mark.parametrize(
    ("cell", "order"),
    [("MinGRU", ("n", "z")), ("MinLSTM", ("i", "f", "n")), ("MinLSTM", ("f", "n", "i")), ("LSTM", ("g", "f", "o"))],
)
def test_two_gates_swapped(red: Check, monkeypatch: Patch, cell: cells.Cell, order: tuple[str, ...]) -> None:
    def rows(self: direction.Direction, gates: tuple[str, ...]) -> Any:
        every = np.arange(len(self.parameters["weight_ih"]))
        return np.concatenate([every[cells.gate_rows(order, gate, self.hidden_size)] for gate in gates])

    options = {"coupled_gates": True} if cell == "LSTM" else {}
    red(lambda: monkeypatch.setattr(direction.Direction, "_rows", rows), "output", "values", cell=cell, **options)


def test_peepholes_of_two_gates_swapped(red: Check, monkeypatch: Patch) -> None:
    def break_it() -> None:
        monkeypatch.setattr(peephole, "peephole_gates", lambda _: ("f", "i", "o"))

    red(break_it, "output", "values", **LSTM, peephole=True)


def test_a_peephole_that_hands_nothing_back(red: Check, monkeypatch: Patch) -> None:
    def back(self: peephole.Peephole, delta: Any, d: Any) -> float:
        d["weight_peephole"][self.rows] += (delta * self.c).sum(axis=0)
        return 0.0

    red(lambda: monkeypatch.setattr(peephole.Peephole, "back", back), "input", "gradients", **LSTM, peephole=True)


def test_coupled_gates_whose_gradient_forgets_that_they_are(red: Check, monkeypatch: Patch) -> None:
    right = lstm.LSTMStep.back

    def back(self: lstm.LSTMStep, d_state: Any, d: Any) -> Any:
        return right(replace(self, coupled_gates=False), d_state, d)

    red(lambda: monkeypatch.setattr(lstm.LSTMStep, "back", back), "input", "gradients", **LSTM, coupled_gates=True)


def test_a_projection_whose_matrix_learns_nothing(red: Check, monkeypatch: Patch) -> None:
    right = readout.Readout.back

    def back(self: readout.Readout, d_h: Any, d: Any) -> Any:
        return right(self, d_h, {**d, "weight_hr": np.zeros_like(d["weight_hr"])})

    red(lambda: monkeypatch.setattr(readout.Readout, "back", back), "weight_hr", "gradients", **LSTM, proj_size=2)


def test_zoneout_that_keeps_what_it_should_take(red: Check, monkeypatch: Patch) -> None:
    def break_it() -> None:
        monkeypatch.setattr(zoneout, "zone_out", lambda keep, before, new: keep * new + (1.0 - keep) * before)

    red(break_it, "output", "values", **LSTM, **ZONEOUT)


@pytest.mark.parametrize("module", [zoneout, lstm], ids=["h", "c"])
def test_zoneout_without_the_way_past_the_cell(red: Check, monkeypatch: Patch, module: Any) -> None:
    def break_it() -> None:
        monkeypatch.setattr(module, "zone_out_back", lambda keep, d: (np.zeros_like(d), (1.0 - keep) * d))

    red(break_it, "input", "gradients", **LSTM, **ZONEOUT)


def test_zoneout_masks_in_the_reverse_direction_s_own_order(red: Check, monkeypatch: Patch) -> None:
    def break_it() -> None:
        monkeypatch.setattr(stack, "_own_masks", lambda masks, lengths, way: masks)

    red(break_it, "output", "values", cell="GRU", zoneout=(0.4, 0.0), training=True, bidirectional=True)


@pytest.mark.parametrize(
    ("mask", "match"), [("mask_of_v", "input"), ("mask_of_weight", "weight_hh")], ids=["recurrent", "weight"]
)
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_gradient_without_its_mask(red: Check, monkeypatch: Patch, cell: str, mask: str, match: str) -> None:
    right = product.Product.back
    changes: dict[str, Any] = {mask: 1.0}

    def back(self: product.Product, delta: Any, d: Any) -> Any:
        return right(replace(self, **changes), delta, d)

    def break_it() -> None:
        monkeypatch.setattr(product.Product, "back", back)

    red(break_it, match, "gradients", cell=cell, training=True, **DROPOUT)


@pytest.mark.parametrize("term", ["mean", "spread"])
@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_normalisation_without_a_term(red: Check, monkeypatch: Patch, cell: str, term: str) -> None:
    def back(self: layer_norm.LayerNorm, d_value: Any, d_gain: Any) -> Any:
        d_gain += (d_value * self.unit).sum(axis=0)
        d_unit = self.gain * d_value
        d_mean = 0.0 if term == "mean" else d_unit.mean(axis=1, keepdims=True)
        d_spread = 0.0 if term == "spread" else (d_unit * self.unit).mean(axis=1, keepdims=True)
        return (d_unit - d_mean - self.unit * d_spread) / self.deviation

    def break_it() -> None:
        monkeypatch.setattr(layer_norm.LayerNorm, "back", back)

    red(break_it, "input", "gradients", cell=cell, layer_norm=True)


def test_the_gates_of_an_lstm_normalised_apart(red: Check, monkeypatch: Patch) -> None:
    right = layer_norm.layer_norm

    def apart(v: Any, gain: Any) -> layer_norm.LayerNorm:
        parts = [right(v[:, rows : rows + 3], gain[rows : rows + 3]) for rows in range(0, len(gain), 3)]
        return layer_norm.LayerNorm(gain, np.concatenate([part.unit for part in parts], axis=1), parts[0].deviation)

    red(lambda: monkeypatch.setattr(product, "layer_norm", apart), "output", "values", **LSTM, layer_norm=True)
