"""What a verdict is read from: lags that half of the sequences have, and which of the middle two is a median."""

from typing import Any

import numpy as np
import torch

from throughtime import flow
from throughtime.flow.spread import Spread
from throughtime.flow.trace import run
from throughtime.nn import RNN, MinGRU
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import zero_state
from throughtime.text.training.flow_watch import FlowWatch


def set_to(layer: Any, **values: Any) -> Any:
    """`layer`, with parameters of layer 0 by kind."""
    with torch.no_grad():
        for kind, value in values.items():
            parameter = layer.get_parameter(f"{kind}_l0")
            parameter.copy_(torch.as_tensor(value, dtype=parameter.dtype).expand(parameter.shape))
    return layer


def resetting() -> tuple[Any, torch.Tensor, list[int]]:
    """A layer that keeps all but where the input is 1; there three of four sequences, a step shorter, lose all."""
    layer = set_to(
        MinGRU(1, 3, dtype=torch.float64), weight_ih=[[60.0]] * 3 + [[1.0]] * 3, bias_ih=[-30.0] * 3 + [0.0] * 3
    )
    x = torch.zeros(40, 4, 1, dtype=torch.float64)
    x[20, 1:] = 1.0
    return layer, x, [40, 39, 39, 39]


def test_one_long_sequence_does_not_decide_the_verdict() -> None:
    layer, x, lengths = resetting()
    measured = flow.measure(layer, x, lengths=lengths)
    (direction,) = measured.directions
    assert direction.norm.count[-2:].tolist() == [4, 1]
    assert direction.norm.median[-1] > 0.9  # of the one that never loses anything
    assert measured.verdict == "vanishing"
    assert direction.memory["1 %"] is not None
    assert direction.memory["1 %"] < 21
    assert direction.facts.longest == 39
    table = str(measured).splitlines()
    assert [line.split()[-2:] for line in table if line.startswith("sequences ")] == [["4", "1"]]
    assert any("above 39" in line and "fewer than half" in line for line in table)
    assert flow.GradientFlow.from_json(measured.to_json()).directions[0].facts.longest == 39
    whole = str(flow.measure(layer, x))
    assert "fewer than half" not in whole
    assert not any(line.startswith("sequences ") for line in whole.splitlines())


def test_nor_what_a_run_says() -> None:
    layer, x, lengths = resetting()
    ragged = Ragged(torch.tensor(lengths), 40, x.device)
    [direction] = run(layer.options, layer.all_weights, x, zero_state(layer.options, 4, x), ragged).directions
    _, watched = FlowWatch._back(direction)
    assert watched["norm"] is not None
    assert watched["norm"] < 1e-6
    assert watched["memory"] is not None


def growing(rows: int) -> flow.GradientFlow:
    """A relu network of which the first `rows` of four sequences grow 1.2-fold a step, while the others are dead."""
    layer = set_to(
        RNN(1, 2, nonlinearity="relu", dtype=torch.float64),
        weight_hh=1.2 * torch.eye(2),
        weight_ih=1.0,
        bias_ih=0.0,
        bias_hh=0.0,
    )
    x = torch.ones(60, 4, 1, dtype=torch.float64)
    x[:, rows:] = -1.0
    return flow.measure(layer, x)


def test_of_two_middle_sequences_explosion_is_read_from_the_upper_and_vanishing_from_the_lower() -> None:
    assert growing(4).verdict == growing(3).verdict == growing(2).verdict == "exploding"
    assert growing(1).verdict == "vanishing"
    (direction,) = growing(2).directions
    assert (direction.norm.median[-1], direction.norm_h.median[-1]) == (0.0, 0.0)
    assert direction.mean.median[-1] == direction.mean_h.median[-1] > 1e4
    points = [torch.tensor([4.0, 1.0, 2.0, 3.0]), torch.tensor([1.0, torch.inf]), torch.tensor([3.0, 1.0, 2.0])]
    assert Spread.of(points).median.tolist() == [2.0, 1.0, 2.0]
    assert Spread.of(points, upper=True).median.tolist() == [3.0, np.inf, 2.0]


def test_a_run_reads_explosion_from_the_upper_too() -> None:
    layer = set_to(RNN(1, 2, nonlinearity="relu", dtype=torch.float64), weight_hh=1.2 * torch.eye(2), weight_ih=1.0)
    set_to(layer, bias_ih=0.0, bias_hh=0.0)
    x = torch.ones(60, 2, 1, dtype=torch.float64)
    x[:, 1] = -1.0
    [direction] = run(layer.options, layer.all_weights, x, zero_state(layer.options, 2, x), None).directions
    _, watched = FlowWatch._back(direction)
    assert watched["highest"] is not None
    assert watched["highest"] > 1e3
    assert watched["norm"] == 0.0


def test_the_spectral_radius_is_taken_over_the_longest_sequence() -> None:
    measured = flow.measure(RNN(2, 3), torch.randn(20, 4, 2), lengths=[20, 20, 20, 1], samples=4)
    (direction,) = measured.directions
    assert direction.steps.tolist() == [0, 6, 13, 19]
    assert direction.spectral_radius.count.tolist() == [4, 3, 3, 3]


def test_the_worst_direction_is_the_one_that_keeps_least_or_grows_most() -> None:
    for gains in ([0.8, 0.4, 0.7], [1.3, 1.6, 1.4]):
        layer = RNN(3, 3, num_layers=3, nonlinearity="identity", dtype=torch.float64)
        with torch.no_grad():
            for level, gain in enumerate(gains):
                layer.get_parameter(f"weight_hh_l{level}").copy_(gain * torch.eye(3))
        measured = flow.measure(layer, torch.randn(30, 2, 3, dtype=torch.float64))
        assert [direction.finding.verdict for direction in measured.directions] == [measured.verdict] * 3
        assert measured.worst.layer == 1
