"""Embedding, output projection (tied too) and the article's regularised error, with their gradients."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from throughtime.equations import (
    backward,
    embed,
    embed_back,
    forward,
    project,
    project_back,
    regularised_error,
    regularised_error_gradients,
)
from throughtime.equations.output import OUTPUT_NONLINEARITIES, OutputNonlinearity
from throughtime.spec.errors import OptionError, ShapeError
from throughtime.spec.tolerances import CENTRAL, OUTPUT

Make = Callable[..., Any]
LAMBDA = 0.7


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("nonlinearity", OUTPUT_NONLINEARITIES)
def test_projection_against_central_differences(
    rng: np.random.Generator, central: Make, close: Make, nonlinearity: OutputNonlinearity
) -> None:
    arguments = {"h": rng.normal(size=(3, 2, 4)), "V": rng.normal(size=(5, 4)), "bias": rng.normal(size=5)}
    weight = rng.normal(size=(3, 2, 5))
    projection = project(arguments["h"], arguments["V"], arguments["bias"], nonlinearity)
    got = dict(zip(arguments, project_back(projection, weight), strict=True))

    def error() -> float:
        return float(np.sum(weight * project(arguments["h"], arguments["V"], arguments["bias"], nonlinearity).y))

    close(got, central(error, arguments), CENTRAL)


def test_softmax_is_torchs_and_does_not_overflow(rng: np.random.Generator, close: Make) -> None:
    h, V, bias = 300.0 * rng.normal(size=(6, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)
    expected = torch.softmax(torch.tensor(h) @ torch.tensor(V).T + torch.tensor(bias), dim=-1).numpy()
    close({"y": project(h, V, bias, "softmax").y}, {"y": expected}, OUTPUT["float64"])


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_a_whole_network_with_tied_words_and_the_regularised_error(
    problem: Make, central: Make, close: Make, rng: np.random.Generator, cell: str
) -> None:
    """Words in, words out: table → stack → V = table → sigmoid → error; one central difference for each number."""
    given = problem([3, 2], input_size=3, hidden_size=(4, 3), cell=cell)
    ids = np.array([[1, 4], [2, 1], [1, 0]])
    table, bias, w = rng.normal(size=(5, 3)), rng.normal(size=5), rng.uniform(-1, 1, size=5)
    target = rng.normal(size=(3, 2, 5))
    real = np.arange(3)[:, None] < np.array(given.lengths)  # outputs at padding do not count

    def run() -> tuple[float, Any, Any]:
        trace = forward(given.options, given.parameters, embed(ids, table), given.lengths, given.state)
        projection = project(trace.output, table, bias, "sigmoid")
        return regularised_error(projection.y[real], target[real], w, LAMBDA), projection, trace

    _, projection, trace = run()
    d_real, d_w = regularised_error_gradients(projection.y[real], target[real], w, LAMBDA)
    d_y = np.zeros_like(projection.y)
    d_y[real] = d_real
    d_h, d_V, d_bias = project_back(projection, d_y)
    gradients = backward(trace, d_h)
    got = {"table": embed_back(ids, gradients.d_input, 5) + d_V, "bias": d_bias, "w": d_w} | gradients.d_parameters
    close(got, central(lambda: run()[0], {"table": table, "bias": bias, "w": w} | given.parameters), CENTRAL)


def test_regularised_error_is_the_article_s_quadratic_form(rng: np.random.Generator, close: Make) -> None:
    prediction, target, w = rng.normal(size=4), rng.normal(size=4), rng.uniform(-2, 1.4, size=4)
    difference = prediction - target
    expected = 0.5 * difference @ np.linalg.inv(np.eye(4) - LAMBDA * np.diag(w)) @ difference
    got = np.array(regularised_error(prediction, target, w, LAMBDA))
    close({"E": got}, {"E": expected}, OUTPUT["float64"])
    squared = np.array(regularised_error(prediction, target, w, 0.0))
    close({"E": squared}, {"E": 0.5 * difference @ difference}, OUTPUT["float64"])


@pytest.mark.parametrize("lam", [0.0, 0.7, -1.3])
def test_gradients_of_the_regularised_error_against_central_differences(
    rng: np.random.Generator, central: Make, close: Make, lam: float
) -> None:
    prediction, target, w = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2, 4)), rng.uniform(-0.7, 1.2, size=4)
    d_prediction, d_w = regularised_error_gradients(prediction, target, w, lam)
    arguments = {"prediction": prediction, "w": w}
    expected = central(lambda: regularised_error(prediction, target, w, lam), arguments)
    close({"prediction": d_prediction, "w": d_w}, expected, CENTRAL)


@pytest.mark.parametrize(("lam", "bad"), [(1.0, 1.0), (2.0, 0.75), (0.5, float("nan")), (-1.0, -2.0)])
def test_regularised_error_refuses_a_form_that_is_not_an_error(lam: float, bad: float) -> None:
    for function in (regularised_error, regularised_error_gradients):
        with pytest.raises(OptionError, match=rf"lam \* w\[k\] must be below 1 .*lam = {lam} and w\[1\] = {bad}"):
            function([0.0, 0.0], [1.0, 1.0], [0.1, bad], lam)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"target must be the shape of prediction = \(2,\), but is \(3,\)"):
        regularised_error([0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0], 0.1)
    with pytest.raises(ShapeError, match=r"w must be \(num_outputs,\) = \(2,\), but is \(1,\)"):
        regularised_error([0.0, 0.0], [0.0, 0.0], [0.0], 0.1)
    with pytest.raises(ShapeError, match=r"prediction must be \(…, num_outputs\), but is \(\)"):
        regularised_error(0.0, 0.0, [0.0], 0.1)
    with pytest.raises(ShapeError, match=r"V must be .* \(5, 3\), \(2, 4\)"):
        project(np.zeros((2, 4)), np.zeros((5, 3)), np.zeros(5))
    with pytest.raises(ShapeError, match=r"bias must be \(num_outputs,\) = \(5,\), but is \(4,\)"):
        project(np.zeros((2, 3)), np.zeros((5, 3)), np.zeros(4))
    with pytest.raises(ShapeError, match=r"d_y must be the shape of y = \(2, 5\), but is \(2, 4\)"):
        project_back(project(np.zeros((2, 3)), np.zeros((5, 3)), np.zeros(5)), np.zeros((2, 4)))
    with pytest.raises(ShapeError, match=r"ids must be from 0 to num_words - 1 = 4, but reach 0 … 5"):
        embed(np.array([0, 5]), np.zeros((5, 3)))
    with pytest.raises(OptionError, match=r"nonlinearity must be one of .*softmax, but is 'softplus'"):
        project(np.zeros((2, 3)), np.zeros((5, 3)), np.zeros(5), "softplus")  # type: ignore[arg-type]
