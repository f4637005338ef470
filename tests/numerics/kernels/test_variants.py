"""The variants on the native core against the NumPy reference: every option, every argument, every instruction set."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

Make = Callable[..., Any]

NORM = {"layer_norm": True}
ALL = {"layer_norm": True, "recurrent_dropout": 0.3}
LSTM_ALL = ALL | {"zoneout": (0.3, 0.2), "peephole": True, "proj_size": 2}
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"{cell}-layer-norm": {"cell": cell} | NORM for cell in ("RNN", "GRU", "LSTM")},
    **{f"{cell}-layer-norm-without-bias": {"cell": cell, "bias": False} | NORM for cell in ("RNN", "GRU", "LSTM")},
    **{f"{cell}-recurrent-dropout": {"cell": cell, "recurrent_dropout": 0.3} for cell in ("RNN", "GRU", "LSTM")},
    **{f"{cell}-zoneout": {"cell": cell, "zoneout": (0.3, 0.0)} for cell in ("RNN", "GRU", "LSTM", "IndRNN")},
    **{f"{cell}-all": {"cell": cell, "zoneout": (0.3, 0.0)} | ALL for cell in ("RNN", "GRU")},
    "RNN-relu-layer-norm": {"cell": "RNN", "nonlinearity": "relu"} | NORM,
    "RNN-identity-zoneout": {"cell": "RNN", "nonlinearity": "identity", "zoneout": (0.3, 0.0)},
    "LSTM-zoneout-of-both": {"cell": "LSTM", "zoneout": (0.3, 0.2)},
    "LSTM-peephole": {"cell": "LSTM", "peephole": True},
    "LSTM-coupled": {"cell": "LSTM", "coupled_gates": True},
    "LSTM-coupled-peephole": {"cell": "LSTM", "coupled_gates": True, "peephole": True},
    "LSTM-projection": {"cell": "LSTM", "proj_size": 2},
    "LSTM-all": {"cell": "LSTM"} | LSTM_ALL,
    "LSTM-all-coupled": {"cell": "LSTM", "coupled_gates": True} | LSTM_ALL,
    "MinGRU": {"cell": "MinGRU"},
    "MinGRU-without-bias": {"cell": "MinGRU", "bias": False},
    "MinGRU-zoneout": {"cell": "MinGRU", "zoneout": (0.3, 0.0)},
    "MinLSTM": {"cell": "MinLSTM"},
    "MinLSTM-zoneout": {"cell": "MinLSTM", "zoneout": (0.3, 0.0)},
    "IndRNN": {"cell": "IndRNN"},
    "IndRNN-relu-without-bias": {"cell": "IndRNN", "nonlinearity": "relu", "bias": False},
}
# More sequences than a tile has rows, equal and ragged; one alone, whose units the threads share.
RAGGED = (2, 7, 1, 7, 5, 6, 3, 1, 4, 6, 2, 7, 7)
SHAPES = [(3, 3, RAGGED), (17, 17, RAGGED), (1, 17, (5,)), (5, 100, (7, 6))]
ALONE = (5, 100, (60,))
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())


@each_dtype
@each_variant
@pytest.mark.parametrize("bidirectional", [False, True], ids=["one-way", "two-ways"])
@pytest.mark.parametrize(("input_size", "hidden_size", "lengths"), SHAPES)
def test_values_and_all_gradients_in_training(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, dtype: str, variant: dict[str, Any],
    bidirectional: bool, input_size: int, hidden_size: int, lengths: tuple[int, ...],
) -> None:  # fmt: skip
    if dtype == "float32" and variant.get("layer_norm") and hidden_size == 3:
        # Three values may lie so close together that dividing by their deviation makes a hundred times more of a last
        # bit: so it is in any order of sums. float64 shows that the core is right, and 17 units that float32 is.
        pytest.skip("layer normalisation of three float32 values is ill-conditioned")
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    given = problem(lengths, dtype, bidirectional=bidirectional, **sizes, **variant)
    close(run(given, isa), reference(given), sums=True, normalised=given.options.layer_norm)


@each_dtype
@each_variant
def test_outside_of_training(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, dtype: str, variant: dict[str, Any]
) -> None:
    given = problem(RAGGED, dtype, training=False, bidirectional=True, **variant)
    close(run(given, isa), reference(given), sums=True, normalised=given.options.layer_norm)


@each_dtype
@each_variant
def test_one_sequence_on_two_threads(
    problem: Make, run: Make, reference: Make, close: Make, same_bits: Make, isa: str, dtype: str,
    variant: dict[str, Any],
) -> None:  # fmt: skip
    input_size, hidden_size, lengths = ALONE
    given = problem(lengths, dtype, input_size=input_size, hidden_size=hidden_size, **variant)
    two, one = run(given, isa, threads=2), run(given, isa, threads=1)
    close(two, reference(given), sums=True, normalised=given.options.layer_norm)
    same_bits(two.values, one.values)
    same_bits(two.gradients, one.gradients)


@each_dtype
def test_min_lstm_where_gates_are_nearly_shut_or_open(
    problem: Make, run: Make, reference: Make, close: Make, isa: str, dtype: str
) -> None:
    """One unit for each pair of sums of f and i, some past the range of the dtype's exponents."""
    pairs = list(
        product([-800.0, -700.0, -200.0, -104.0, -100.0, -88.0, -41.0, -39.0, 0.0, 87.0, 100.0, 800.0], repeat=2)
    )
    given = problem((1, 1), dtype, cell="MinLSTM", hidden_size=len(pairs))
    given.parameters["weight_ih_l0"][...] = 0
    given.parameters["bias_ih_l0"][: 2 * len(pairs)] = np.transpose(pairs).ravel()
    close(run(given, isa), reference(given), sums=True)
