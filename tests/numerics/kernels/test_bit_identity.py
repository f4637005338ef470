"""A sequence's numbers are the same bits alone, in any batch, at any place in it, and on any number of threads."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from throughtime.spec.masks import Masks

Make = Callable[..., Any]
CELLS: dict[str, dict[str, Any]] = {
    "RNN-tanh": {"cell": "RNN"},
    "RNN-relu": {"cell": "RNN", "nonlinearity": "relu"},
    "RNN-sigmoid": {"cell": "RNN", "nonlinearity": "sigmoid"},
    "RNN-identity": {"cell": "RNN", "nonlinearity": "identity"},
    "GRU-after": {"cell": "GRU"},
    "GRU-before": {"cell": "GRU", "reset_after": False},
    "LSTM": {"cell": "LSTM"},
    **{f"{cell}-recurrent-dropout": {"cell": cell, "recurrent_dropout": 0.3} for cell in ("RNN", "GRU", "LSTM")},
    "LSTM-zoneout-peephole": {"cell": "LSTM", "zoneout": (0.3, 0.2), "peephole": True},
    "MinLSTM": {"cell": "MinLSTM"},
    "GRU-variants": {"cell": "GRU", "layer_norm": True, "zoneout": (0.3, 0.0), "recurrent_dropout": 0.3},
    "LSTM-variants": {
        "cell": "LSTM",
        "layer_norm": True,
        "zoneout": (0.3, 0.2),
        "recurrent_dropout": 0.3,
        "peephole": True,
        "proj_size": 6,
    },
    "IndRNN": {"cell": "IndRNN"},
}
each_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def rows_of(given: Any, rows: list[int]) -> Any:
    """The problem of some of the sequences, in this order, no longer than the longest of them."""
    lengths = tuple(given.lengths[row] for row in rows)

    def part(array: Any) -> Any:
        return np.ascontiguousarray(array[:, rows])

    return replace(
        given,
        lengths=lengths,
        input=part(given.input[: max(lengths)]),
        u_output=part(given.u_output[: max(lengths)]),
        state=[part(array) for array in given.state],
        u_state=[part(array) for array in given.u_state],
        masks=[
            Masks(
                zoneout_h=None if masks.zoneout_h is None else part(masks.zoneout_h[: max(lengths)]),
                zoneout_c=None if masks.zoneout_c is None else part(masks.zoneout_c[: max(lengths)]),
                recurrent=None if masks.recurrent is None else np.ascontiguousarray(masks.recurrent[rows]),
            )
            for masks in given.masks
        ],
    )


def of_sequence(got: Any, row: int, length: int) -> dict[str, Any]:
    """Everything that belongs to one sequence of a run: its outputs, final states and gradients."""
    named = {
        **got.values,
        **{f"d_{name}": got.gradients[name] for name in ("input", "h_0", "c_0") if name in got.gradients},
    }
    return {
        name: value[:length, row] if name in ("output", "d_input") else value[:, row] for name, value in named.items()
    }


@each_cell
@each_dtype
@pytest.mark.parametrize("threads", [1, 2])
def test_alone_and_in_batches_of_every_size(
    problem: Make, run: Make, same_bits: Make, isa: str, dtype: str, cell: dict[str, Any], threads: int
) -> None:
    lengths = tuple(np.random.default_rng(1).integers(1, 8, 256).tolist())
    given = problem(lengths, dtype, input_size=5, bidirectional=True, **cell)
    sequence = lengths.index(7)
    alone = of_sequence(run(rows_of(given, [sequence]), isa), 0, 7)
    for batch in (2, 7, 32, 256):
        others = [row for row in range(256) if row != sequence]
        for place in {0, batch // 2, batch - 1} if batch < 256 else {101}:
            rows = others[: batch - 1]
            rows.insert(place, sequence)
            got = run(rows_of(given, rows), isa, threads=threads)
            same_bits(of_sequence(got, place, 7), alone)


@each_cell
@each_dtype
@pytest.mark.parametrize(
    ("hidden_size", "lengths"), [(17, (70, 20, 10, 50, 70)), (100, (90, 40)), (300, (17,)), (300, (13, 5, 4))]
)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_everything_on_one_and_more_threads(
    problem: Make,
    run: Make,
    same_bits: Make,
    isa: str,
    dtype: str,
    cell: dict[str, Any],
    hidden_size: int,
    lengths: tuple[int, ...],
    bidirectional: bool,
) -> None:
    """Weight gradients too, and where threads share the hidden units: few sequences, many units."""
    given = problem(lengths, dtype, hidden_size=hidden_size, bidirectional=bidirectional, **cell)
    one = run(given, isa)
    for threads in (2, 3):
        more = run(given, isa, threads=threads)
        same_bits(more.values, one.values)
        same_bits(more.gradients, one.gradients)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("hidden_size", [64, 128])
def test_of_batches_that_threads_cut_into_different_numbers_of_blocks(
    problem: Make, run: Make, same_bits: Make, isa: str, cell: str, hidden_size: int
) -> None:
    """Where one thread has a sequence more than the other, its rows may be one block too many for the second cache."""
    drawn = np.random.default_rng(1).integers(1, 5, 261).tolist()
    for batch in range(61, 262, 2):
        given = problem(tuple(drawn[:batch]), input_size=3, hidden_size=hidden_size, cell=cell)
        one, two = run(given, isa), run(given, isa, threads=2)
        same_bits(two.values, one.values)
        same_bits(two.gradients, one.gradients)


@each_cell
def test_inference_gives_the_bits_of_training(
    problem: Make, kernel: Make, same_bits: Make, isa: str, cell: dict[str, Any]
) -> None:
    given = problem((7, 2, 1, 5, 7, 3, 3, 3, 3, 3), bidirectional=True, **cell)
    training = kernel(given, isa)
    expected = {n: v for n, v in training.forward(given.state).items() if "[" not in n}
    got = {name: np.full_like(value, np.nan) for name, value in expected.items()}
    h_0, c_0 = (*given.state, None)[:2]
    training.layer.forward(
        training.plan, given.input, training.packed, h_0, c_0, got["output"], got["h_n"], got.get("c_n"), [], [], None,
        1, training.masks(),
    )  # fmt: skip
    same_bits(got, expected)
