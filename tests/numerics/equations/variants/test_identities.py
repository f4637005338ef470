"""Variants that must equal another cell, or the plain one, whatever their parameters are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.spec.cells import NEUTRAL, LayerOptions, gate_rows
from throughtime.spec.masks import Masks
from throughtime.spec.tolerances import OUTPUT

Make = Callable[..., Any]
Check = Callable[..., None]
STACK: dict[str, Any] = {"lengths": [2, 5, 1], "bidirectional": True, "hidden_size": (3, 4)}


def _as(given: Any, parameters: dict[str, Any], **options: Any) -> Any:
    """The same problem for other options of the same sizes, with `parameters`."""
    sizes = {"input_size": given.options.input_size, "hidden_size": given.options.hidden_size, "bidirectional": True}
    return replace(given, options=LayerOptions(**sizes, **options), parameters=parameters, masks=None)


def test_peepholes_of_zero_are_none(problem: Make, close: Check) -> None:
    given = problem(**STACK, cell="LSTM", peephole=True)
    for name, value in given.parameters.items():
        if name.startswith("weight_peephole"):
            value[...] = NEUTRAL["weight_peephole"]
    plain = {name: value for name, value in given.parameters.items() if not name.startswith("weight_peephole")}
    close(given.results(), _as(given, plain, cell="LSTM").results(), OUTPUT["float64"])


def test_coupled_gates_are_a_plain_lstm_whose_input_gate_has_the_forget_gate_s_negative(
    problem: Make, close: Check
) -> None:
    given = problem(**STACK, cell="LSTM", coupled_gates=True)
    plain = {}
    for name, value in given.parameters.items():
        forget = value[gate_rows(given.options.gates, "f", len(value) // 3)]
        plain[name] = np.concatenate([-forget, value])
    close(given.results(), _as(given, plain, cell="LSTM").results(), OUTPUT["float64"])


def test_an_indrnn_is_an_rnn_with_a_diagonal_matrix(problem: Make, close: Check) -> None:
    given = problem(**STACK, cell="IndRNN")
    full = {name: np.diag(value) if name.startswith("weight_hh") else value for name, value in given.parameters.items()}
    full |= {name.replace("ih", "hh"): 0 * value for name, value in given.parameters.items() if name[:4] == "bias"}
    close(given.results(), _as(given, full, cell="RNN").results(), OUTPUT["float64"])


def test_a_min_gru_whose_candidate_is_small_is_a_gru_without_a_recurrent_matrix(problem: Make, close: Check) -> None:
    """With z turned around and tanh(n) = n + O(n³): at n of 1e-6 the difference is below rounding."""
    given = problem(**STACK, cell="MinGRU")
    gru: dict[str, Any] = {}
    for name, value in given.parameters.items():
        z, n = np.split(value, 2)
        n *= 1e-6
        gru[name] = np.concatenate([np.zeros_like(z), -z, n])
    for layer, size in enumerate(given.options.hidden_size):
        for end in (f"_l{layer}", f"_l{layer}_reverse"):
            gru[f"weight_hh{end}"] = np.zeros((3 * size, size))
            gru[f"bias_hh{end}"] = np.zeros(3 * size)
    close(given.results(), _as(given, gru, cell="GRU").results(), OUTPUT["float64"])


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_masks_of_ones_drop_nothing(problem: Make, close: Check, cell: str) -> None:
    given = problem(**STACK, cell=cell, recurrent_dropout=0.5, weight_dropout=0.5, training=True)
    ones = [[Masks(**_each(masks, np.ones_like)) for masks in directions] for directions in given.masks]
    close(replace(given, masks=ones).results(), replace(given, masks=None).results(), OUTPUT["float64"])


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_dropped_hidden_state_is_a_recurrent_matrix_of_zeros(problem: Make, close: Check, cell: str) -> None:
    given = problem(**STACK, cell=cell, recurrent_dropout=0.5, training=True)
    zeros = [[Masks(**_each(masks, np.zeros_like)) for masks in directions] for directions in given.masks]
    dropped = replace(given, masks=zeros).results()
    for name, value in given.parameters.items():
        value *= not name.startswith("weight_hh")
    close(dropped, replace(given, masks=None).results(), OUTPUT["float64"])


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM", "MinGRU", "MinLSTM", "IndRNN"])
def test_zoneout_of_everything_keeps_the_initial_state(problem: Make, cell: str) -> None:
    zoneout = (0.5, 0.5) if cell == "LSTM" else (0.5, 0.0)
    given = problem(**STACK, cell=cell, zoneout=zoneout, training=True)
    kept = [[Masks(**_each(masks, np.ones_like)) for masks in directions] for directions in given.masks]
    trace = replace(given, masks=kept).trace()
    for last, first in zip(trace.h_n + trace.c_n, given.h_0 + given.c_0, strict=True):
        np.testing.assert_array_equal(last, first)


def _each(masks: Masks[Any], change: Callable[[Any], Any]) -> dict[str, Any]:
    return {kind: None if mask is None else change(mask) for kind, mask in vars(masks).items()}
