"""The instrument against cases whose numbers are known: powers of ρ, the bound of a sigmoid, fixed points."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.flow import measure
from throughtime.spec import tolerances

ROW = tolerances.GRADIENT["float64"]
STEPS = 60


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=ROW.rtol, atol=0.0)


def orthogonal(size: int) -> Tensor:
    q: Tensor = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64))[0]
    return q


def layer_of(cell: str, size: int = 6, **options: Any) -> Any:
    return getattr(throughtime.nn, cell)(3, size, dtype=torch.float64, **options)


def set_to(layer: torch.nn.Module, **values: Tensor | float) -> None:
    """Parameters of layer 0 by kind; others stay."""
    with torch.no_grad():
        for name, value in values.items():
            parameter = getattr(layer, f"{name}_l0")
            parameter.copy_(torch.as_tensor(value, dtype=torch.float64).expand(parameter.shape))


@pytest.mark.parametrize("rho", [0.8, 1.0, 1.2])
@pytest.mark.parametrize("exact", [True, False])
def test_identity_rnn_with_a_scaled_rotation(rho: float, exact: bool) -> None:
    """∂h_T/∂h_{T-k} = (ρQ)^k: every singular value is ρ^k, every exponent ln ρ, every |eigenvalue| ρ."""
    layer = layer_of("RNN", nonlinearity="identity")
    set_to(layer, weight_hh=rho * orthogonal(6))
    flow = measure(layer, torch.randn(STEPS, 5, 3), exact=exact, lags=range(STEPS + 1), exponents=6)
    (direction,) = flow.directions
    assert direction.lags.tolist() == list(range(STEPS + 1))
    assert direction.exact == exact
    expected = rho ** np.arange(STEPS + 1.0)
    for spread in (direction.norm, direction.norm_h):
        for statistic in (spread.mean, spread.low, spread.median, spread.high):
            close(statistic, expected)
    if exact:  # probes have an error of their own
        close(direction.mean.median, expected)
    close(direction.spectral_radius.median, rho)
    np.testing.assert_allclose(direction.lyapunov.median, math.log(rho), rtol=0.0, atol=ROW.atol)
    assert len(direction.lyapunov.median) == 6
    # The default loss has a gradient of length 1 at the end, which is then multiplied by ρ a step.
    close(direction.loss_to_h.median, expected[:-1])
    if rho < 1:
        close(direction.memory["1/e"], -1 / math.log(rho))
        close(direction.memory["1 %"], math.log(0.01) / math.log(rho))
    else:
        assert direction.memory == {"1/e": None, "1 %": None}
    assert flow.verdict == {0.8: "vanishing", 1.0: "healthy", 1.2: "exploding"}[rho]


def test_memory_of_the_probes_is_within_their_error() -> None:
    layer = layer_of("RNN", nonlinearity="identity")
    set_to(layer, weight_hh=0.9 * orthogonal(6))
    (direction,) = measure(layer, torch.randn(20, 3, 3), exact=False).directions
    row = tolerances.PROBES
    np.testing.assert_allclose(direction.mean.median, 0.9**direction.lags, rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize("bias", [0.0, 1.0, -8.0])
def test_a_sigmoid_rnn_gives_at_most_a_quarter_of_the_weights_norm_a_step(bias: float) -> None:
    layer = layer_of("RNN", nonlinearity="sigmoid")
    set_to(layer, bias_ih=bias)
    bound = float(torch.linalg.matrix_norm(layer.weight_hh_l0.detach(), ord=2)) / 4
    (direction,) = measure(layer, torch.randn(STEPS, 5, 3), lags=range(STEPS + 1)).directions
    powers = bound ** np.arange(STEPS + 1.0)
    assert (direction.norm.high <= powers * (1 + ROW.rtol)).all()
    assert (direction.norm.low > 0).all()
    assert direction.finding.verdict == ("saturated" if bias == -8.0 else "vanishing")


def test_a_sigmoid_rnn_reaches_that_bound_at_one_half() -> None:
    """With b_hh = −W ½ the state stays at ½, where σ' is ¼: J = ¼ W."""
    layer = layer_of("RNN", nonlinearity="sigmoid")
    weight = 3.0 * torch.randn(6, 6, dtype=torch.float64)
    set_to(layer, weight_hh=weight, weight_ih=0.0, bias_ih=0.0, bias_hh=-weight @ torch.full((6,), 0.5).double())
    h_0 = torch.full((1, 2, 6), 0.5, dtype=torch.float64)
    (direction,) = measure(layer, torch.randn(9, 2, 3), hx=h_0, lags=range(10)).directions
    for k in range(10):
        close(direction.norm.median[k], torch.linalg.matrix_norm(torch.linalg.matrix_power(weight / 4, k), ord=2))
    close(direction.spectral_radius.median, torch.linalg.eigvals(weight / 4).abs().max())


@pytest.mark.parametrize("exact", [True, False])
def test_eigenvalues_at_the_fixed_point_of_a_tanh_rnn(exact: bool) -> None:
    """h* = tanh(W h* + b): J = diag(1 − h*²) W, whose eigenvalues give radius and, over many steps, exponents."""
    layer = layer_of("RNN")
    rotation = orthogonal(6)
    set_to(layer, weight_hh=rotation @ torch.diag(torch.tensor([0.9, -0.8, 0.6, 0.5, 0.3, 0.2]).double()) @ rotation.T)
    h = torch.zeros(6, dtype=torch.float64)
    for _ in range(2000):
        h = torch.tanh(layer.weight_hh_l0 @ h + layer.bias_ih_l0 + layer.bias_hh_l0).detach()
    jacobian = torch.diag(1 - h**2) @ layer.weight_hh_l0.detach()
    eigenvalues = torch.linalg.eigvals(jacobian).abs().sort(descending=True).values
    zero_input = torch.zeros(800, 2, 3)
    (direction,) = measure(layer, zero_input, hx=h.expand(1, 2, 6), exact=exact, exponents=3).directions
    close(direction.spectral_radius.median, eigenvalues[0])
    assert len(direction.steps) == 16
    close(direction.lyapunov.median[:2], eigenvalues[:2].log())
    (direction,) = measure(layer, torch.zeros(12, 2, 3), hx=h.expand(1, 2, 6), exact=exact, lags=range(13)).directions
    for k in range(13):
        expected = torch.linalg.matrix_norm(torch.linalg.matrix_power(jacobian, k), ord=2)
        row = ROW if exact else tolerances.ITERATED
        np.testing.assert_allclose(direction.norm.median[k], expected, rtol=row.rtol, atol=row.atol)


def test_a_gru_without_recurrent_weights_keeps_z() -> None:
    layer = layer_of("GRU", bidirectional=True)
    bias = torch.linspace(-2.0, 3.0, 18)
    set_to(layer, weight_hh=0.0, weight_ih=0.0, bias_ih=bias, bias_hh=0.0)
    z = torch.sigmoid(bias[6:12].double()).numpy()
    direction = measure(layer, torch.randn(30, 2, 3), lags=range(31)).directions[0]
    close(direction.norm.median, z.max() ** np.arange(31.0))
    close(direction.mean.median, [math.sqrt((z ** (2 * k)).mean()) for k in range(31)])
    close(direction.spectral_radius.median, z.max())
    assert [round(gate.mean, 6) for gate in direction.gates[1:2]] == [round(float(z.mean()), 6)]


def test_an_lstm_without_recurrent_weights_keeps_f() -> None:
    """At its fixed point c* = i g / (1 − f) the Jacobian has the eigenvalues f, and 0: all takes c, nothing takes h."""
    layer = layer_of("LSTM")
    bias = torch.linspace(-1.0, 2.5, 24)
    set_to(layer, weight_hh=0.0, weight_ih=0.0, bias_ih=bias, bias_hh=0.0)
    i, f, g, o = bias.double().view(4, 6)
    i, f, g, o = torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
    c = i * g / (1 - f)
    h = o * torch.tanh(c)
    state = (h.expand(1, 2, 6), c.expand(1, 2, 6))
    (direction,) = measure(layer, torch.randn(30, 2, 3), hx=state, lags=range(31)).directions
    close(direction.spectral_radius.median, f.max())
    h_from_c = o * (1 - torch.tanh(c) ** 2)
    for k in range(1, 31):
        # (h, c) at T from (h, c) before: nothing from h; from c: f^k to c, and o (1 − tanh²c) f^k to h.
        to_both = f**k * torch.sqrt(1 + h_from_c**2)
        close(direction.norm.median[k], to_both.max())
        close(direction.mean.median[k], torch.sqrt((to_both**2).sum() / 12))
        assert direction.norm_h.median[k] == 0.0
    assert (direction.norm_h.median[0], direction.norm.median[0]) == (1.0, 1.0)
