"""Lyapunov exponents of each sequence: falling, and -inf where a direction comes to nothing but for rounding."""

import numpy as np
import pytest
import torch

from throughtime import flow
from throughtime.flow.chain import Chain
from throughtime.flow.spectrum import lyapunov_exponents
from throughtime.flow.trace import run
from throughtime.nn import LSTM, RNN
from throughtime.nn.state import zero_state


@pytest.mark.parametrize("seed", range(4))
def test_they_fall_within_each_sequence(seed: int) -> None:
    torch.manual_seed(seed)
    layer, x = LSTM(2, 8, init=("chrono", 60), dtype=torch.float64), torch.randn(60, 3, 2, dtype=torch.float64)
    [direction] = run(layer.options, layer.all_weights, x, zero_state(layer.options, 3, x), None).directions
    exponents = lyapunov_exponents(Chain.of(direction, 3), 6, generator=torch.Generator().manual_seed(0))
    assert (exponents[:-1] >= exponents[1:]).all()


@pytest.mark.parametrize("size", [3, 16, 64])
def test_directions_that_a_matrix_of_low_rank_takes_away(size: int) -> None:
    layer = RNN(2, size, nonlinearity="identity", dtype=torch.float64)
    left, right = torch.randn(2, size, 2, dtype=torch.float64)
    weight = left @ right.T / size
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").copy_(weight)
    (direction,) = flow.measure(layer, 0.1 * torch.randn(60, 3, 2), exponents=3).directions
    eigenvalues = torch.linalg.eigvals(weight).abs().sort(descending=True).values
    assert direction.lyapunov.median[2] == -np.inf
    np.testing.assert_allclose(direction.lyapunov.median[:2].sum(), eigenvalues[:2].log().sum(), rtol=0.2)
    assert np.isfinite(direction.lyapunov.median[:2]).all()
