"""Wrong shapes are refused before anything is computed, in one line that names the rule and both values."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime.equations import backward, forward
from throughtime.spec.errors import OptionError, ShapeError, ThroughtimeError

Make = Callable[..., Any]


def _refused(kind: type[ThroughtimeError], message: str, run: Callable[[], object]) -> None:
    with pytest.raises(kind, match=re.escape(message)) as raised:
        run()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": np.zeros((4, 2))}, "input must be (seq_len >= 1, batch, input_size) = (…, …, 2), but is (4, 2)"),
        ({"input": np.zeros((4, 3, 5))}, "= (…, …, 2), but is (4, 3, 5)"),
        ({"input": np.zeros((0, 3, 2))}, "but is (0, 3, 2)"),
        ({"lengths": [4, 3]}, "lengths must be (batch,) = (3,), but is (2,)"),
        ({"lengths": [[4, 3, 1]]}, "lengths must be (batch,) = (3,), but is (1, 3)"),
        ({"lengths": [4, 0, 1]}, "lengths must be from 1 to seq_len = 4, but lengths[1] is 0"),
        ({"lengths": [4, 1, 5]}, "lengths must be from 1 to seq_len = 4, but lengths[2] is 5"),
        ({"lengths": [4.0, 1.0, 2.0]}, "lengths must be integers, but have dtype float64"),
        ({"state": [np.zeros((1, 3, 3))]}, "state of LSTM must be the pair (h_0, c_0), but has 1 entries"),
        ({"state": ([np.zeros((1, 3, 3))], [])}, "h_0 must hold one array a layer = 2, but holds 1"),
        (
            {"state": ([np.zeros((1, 3, 3)), np.zeros((1, 3, 5))], [np.zeros((1, 3, 3)), np.zeros((1, 3, 4))])},
            "h_0[1] must be (num_directions, batch, hidden_size) = (1, 3, 4), but is (1, 3, 5)",
        ),
        (
            {"state": ([np.zeros((1, 3, 3)), np.zeros((1, 3, 4))], [np.zeros((1, 1, 3)), np.zeros((1, 3, 4))])},
            "c_0[0] must be (num_directions, batch, hidden_size) = (1, 3, 3), but is (1, 1, 3)",
        ),
    ],
)
def test_forward(problem: Make, change: dict[str, Any], message: str) -> None:
    given = problem([4, 1, 2], hidden_size=(3, 4), cell="LSTM")
    arguments = {"input": given.input, "lengths": given.lengths, "state": given.state} | change
    _refused(ShapeError, message, lambda: forward(given.options, given.parameters, **arguments))


def test_parameters(problem: Make) -> None:
    given = problem([4], cell="GRU")
    missing = {name: value for name, value in given.parameters.items() if name != "bias_hh_l0"}
    more = given.parameters | {"weight_hr_l0": np.zeros((1, 1))}
    other = given.parameters | {"weight_hh_l0": np.zeros((12, 3))}
    _refused(ShapeError, "but lack bias_hh_l0", lambda: forward(given.options, missing, given.input))
    _refused(ShapeError, "only, but also hold weight_hr_l0", lambda: forward(given.options, more, given.input))
    message = "weight_hh_l0 must be the shape of the options = (9, 3), but is (12, 3)"
    _refused(ShapeError, message, lambda: forward(given.options, other, given.input))


def test_backward(problem: Make) -> None:
    given = problem([4, 2], cell="GRU")
    trace = given.trace()
    message = "d_output must be (seq_len, batch, output_size) = (4, 2, 3), but is (4, 3)"
    _refused(ShapeError, message, lambda: backward(trace, np.zeros((4, 3))))
    message = "d_h_n[0] must be (num_directions, batch, hidden_size) = (1, 2, 3), but is (2, 3)"
    _refused(ShapeError, message, lambda: backward(trace, None, [np.zeros((2, 3))]))
    _refused(OptionError, "d_c_n must be None for GRU", lambda: backward(trace, None, None, given.u_h_n))
