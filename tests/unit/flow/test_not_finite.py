"""Numbers that are not finite: an overflow stays the explosion that it is, and what is no number is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from throughtime import flow
from throughtime.flow import plot
from throughtime.flow.gradients import gradient_norms
from throughtime.flow.trace import run
from throughtime.nn import RNN
from throughtime.nn.state import zero_state
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError


def linear(weight: torch.Tensor) -> Any:
    """h_t = W h_{t-1} + x_t, so that with an input of 0 nothing overflows but the gradient."""
    size = len(weight)
    layer = RNN(size, size, nonlinearity="identity", bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").copy_(weight)
        layer.get_parameter("weight_ih_l0").copy_(torch.eye(size))
    return layer


ZEROS = torch.zeros(400, 3, 2, dtype=torch.float64)


@pytest.mark.parametrize("exact", [True, False])
def test_an_overflow_is_kept_by_json_and_drawn_as_an_explosion(exact: bool, tmp_path: Path) -> None:
    measured = flow.measure(linear(10.0 * torch.eye(2)), ZEROS, exact=exact)
    (direction,) = measured.directions
    assert (direction.norm.median[-1], direction.mean.median[-1]) == (math.inf, math.inf)
    assert direction.loss_to_h.median[-1] == math.inf
    assert not np.isnan(direction.loss_to_h.mean).any()
    assert measured.verdict == "exploding"
    written = json.loads(measured.to_json(), parse_constant=pytest.fail)
    assert written["directions"][0]["norm"]["median"][-1] == "Infinity"
    again = flow.GradientFlow.from_json(measured.to_json())
    assert again.to_dict() == measured.to_dict()
    assert str(again) == str(measured)
    assert "nan" not in " ".join(again.advice)
    measured.plot(tmp_path / "one.svg")
    again.plot(tmp_path / "other.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_what_is_not_finite_is_drawn_above_and_zero_below() -> None:
    assert plot._shown(np.array([math.nan, math.inf, 0.0, 2.0])).tolist() == [1e300, 1e300, 1e-300, 2.0]


def test_zero_times_an_overflow_is_zero() -> None:
    """∂h_T/∂h_{T-k} of a nilpotent W is 0 from its size on, of whatever height it was before."""
    layer = linear(torch.tensor([[0.0, 1e200, 0.0], [0.0, 0.0, 1e200], [0.0, 0.0, 0.0]], dtype=torch.float64))
    measured = flow.measure(layer, torch.zeros(5, 2, 3))
    (direction,) = measured.directions
    row = tolerances.GRADIENT["float64"]
    np.testing.assert_allclose(direction.norm.median, [1.0, 1e200, math.inf, 0.0, 0.0, 0.0], rtol=row.rtol, atol=0.0)
    assert not np.isnan(direction.mean.median).any()
    assert measured.verdict == "exploding"
    assert "at lag 2 " in measured.reason


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_norms_of_very_small_and_very_large_gradients(size: float) -> None:
    layer, x = linear(torch.eye(2)), torch.zeros(1, 1, 2, dtype=torch.float64)
    trace = run(layer.options, layer.all_weights, x, zero_state(layer.options, 1, x), None)
    loss = size * (trace.output @ torch.tensor([3.0, 4.0], dtype=torch.float64)).sum()
    [[[norm]]] = gradient_norms(loss, trace.directions)
    assert norm.item() == pytest.approx(5.0 * size, rel=1e-12, abs=0.0)


LOSSES = {
    "nan": lambda output, state: output.sum() * math.nan,
    "infinite": lambda output, state: output.sum() / 0.0,
    "finite with gradients that are not": lambda output, state: (output * 0.0).sqrt().sum(),
    "of the state": lambda output, state: (state * 0.0).sqrt().sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_or_its_gradient_that_is_not_finite_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=r"the (loss|gradient of the loss) is not finite"):
        flow.measure(RNN(2, 3), torch.randn(5, 2, 2), loss=LOSSES[name])
