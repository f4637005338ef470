"""Wrong shapes are refused before anything is computed, in one line that names the rule and both values."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime.equations import backward, forward
from throughtime.spec.errors import OptionError, ShapeError, ThroughtimeError
from throughtime.spec.masks import Masks

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


def test_states_of_a_projection(problem: Make) -> None:
    given = problem([4], cell="LSTM", proj_size=2)
    state = ([np.zeros((1, 1, 3))], given.c_0)
    message = "h_0[0] must be (num_directions, batch, proj_size) = (1, 1, 2), but is (1, 1, 3)"
    _refused(ShapeError, message, lambda: forward(given.options, given.parameters, given.input, None, state))
    state = (given.h_0, [np.zeros((1, 1, 2))])
    message = "c_0[0] must be (num_directions, batch, hidden_size) = (1, 1, 3), but is (1, 1, 2)"
    _refused(ShapeError, message, lambda: forward(given.options, given.parameters, given.input, None, state))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ([], "masks must hold one entry a layer = 1, but holds 0"),
        ([[Masks()]], "masks[0] must hold one Masks a direction = 2, but holds 1"),
        (
            [[Masks(), Masks(zoneout_h=np.zeros((4, 3, 3)))]],
            "masks[0][1].zoneout_h must be (seq_len, batch, features of h) = (4, 3, 2), but is (4, 3, 3)",
        ),
        (
            [[Masks(zoneout_c=np.zeros((3, 3))), Masks()]],
            "masks[0][0].zoneout_c must be (seq_len, batch, hidden_size) = (4, 3, 3), but is (3, 3)",
        ),
        (
            [[Masks(recurrent=np.zeros((1, 2))), Masks()]],
            "masks[0][0].recurrent must be (batch, features of h) = (3, 2), but is (1, 2)",
        ),
        (
            [[Masks(weight_hh=np.zeros((12, 3))), Masks()]],
            "masks[0][0].weight_hh must be the shape of the parameter = (12, 2), but is (12, 3)",
        ),
    ],
)
def test_masks(problem: Make, masks: Any, message: str) -> None:
    shares = {"zoneout": (0.1, 0.1), "recurrent_dropout": 0.1, "weight_dropout": 0.1}
    given = problem([4, 1, 2], cell="LSTM", bidirectional=True, proj_size=2, **shares)
    _refused(ShapeError, message, lambda: forward(given.options, given.parameters, given.input, masks=masks))


@pytest.mark.parametrize(
    ("cell", "masks"),
    [
        ("GRU", Masks(zoneout_h=np.zeros((4, 1, 3)))),
        ("LSTM", Masks(zoneout_c=np.zeros((4, 1, 3)))),
        ("RNN", Masks(recurrent=np.ones((1, 3)))),
        ("MinGRU", Masks(weight_hh=np.ones((6, 3)))),
    ],
)
def test_masks_of_an_option_that_is_off(problem: Make, cell: str, masks: Masks[Any]) -> None:
    given = problem([4], cell=cell)
    (name,) = (name for name, value in vars(masks).items() if value is not None)
    message = f"masks[0][0].{name} must be None, because the share of the options that it belongs to is 0"
    _refused(OptionError, message, lambda: forward(given.options, given.parameters, given.input, masks=[[masks]]))


def test_backward(problem: Make) -> None:
    given = problem([4, 2], cell="GRU")
    trace = given.trace()
    message = "d_output must be (seq_len, batch, output_size) = (4, 2, 3), but is (4, 3)"
    _refused(ShapeError, message, lambda: backward(trace, np.zeros((4, 3))))
    message = "d_h_n[0] must be (num_directions, batch, hidden_size) = (1, 2, 3), but is (2, 3)"
    _refused(ShapeError, message, lambda: backward(trace, None, [np.zeros((2, 3))]))
    _refused(OptionError, "d_c_n must be None for GRU", lambda: backward(trace, None, None, given.u_h_n))
