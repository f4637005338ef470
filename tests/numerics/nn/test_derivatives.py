"""Derivatives of both backends against central differences, of the second order too; forward mode and vmap."""

from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.spec import tolerances

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "identity"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
]

DROPS = {"recurrent_dropout": 0.4, "weight_dropout": 0.3}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"layer_norm": True, "zoneout": 0.3, **DROPS}),
    ("GRU", {"layer_norm": True, "zoneout": 0.3, **DROPS}),
    ("GRU", {"layer_norm": True, "reset_after": False, **DROPS}),
    ("LSTM", {"layer_norm": True, "peephole": True, "zoneout": (0.3, 0.2), **DROPS}),
    ("LSTM", {"coupled_gates": True, "peephole": True, "proj_size": 2, "zoneout": 0.2}),
    ("MinGRU", {"zoneout": 0.2}),
    ("MinLSTM", {}),
    ("IndRNN", {"nonlinearity": "tanh", "zoneout": 0.2}),
]


def _state(cell: str, *shape: int) -> Any:
    h_0, c_0 = torch.randn(2, *shape, dtype=torch.float64).unbind(0)
    return (h_0.requires_grad_(), c_0.requires_grad_()) if cell == "LSTM" else (h_0.requires_grad_(),)


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("lengths", [None, [2, 3]])
def test_every_argument_against_central_differences(
    cell: str, options: dict[str, Any], lengths: list[int] | None, backend: str
) -> None:
    layer = getattr(throughtime.nn, cell)(2, 3, bidirectional=True, dtype=torch.float64, backend=backend, **options)
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Tensor, *rest: Tensor) -> Any:
        state, parameters = rest[: len(start)], rest[len(start) :]
        hx = state if cell == "LSTM" else state[0]
        output, after = torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (x, hx), {"lengths": lengths}
        )
        return (output, *after) if cell == "LSTM" else (output, after)

    start = _state(cell, 2, 2, 3)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    row = tolerances.CENTRAL
    inputs = (x, *start, *layer.parameters())
    assert torch.autograd.gradcheck(function, inputs, rtol=row.rtol, atol=row.atol)
    assert torch.autograd.gradgradcheck(function, inputs, rtol=row.rtol, atol=row.atol)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own jvp uses it
@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("training", [True])
def test_vmap_and_forward_mode(cell: str, options: dict[str, Any], training: bool) -> None:
    layer = getattr(throughtime.nn, cell)(2, 3, dtype=torch.float64, **options).train(
        training
    )  # backend "auto" finds the way
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    one_by_one = torch.func.vmap(lambda sequence: layer(sequence)[0], in_dims=1, out_dims=1)(x)
    row = tolerances.OUTPUT["float64"]
    torch.testing.assert_close(one_by_one, layer(x)[0], rtol=row.rtol, atol=row.atol)
    tangent = torch.randn_like(x)
    forward = torch.func.jvp(lambda x: layer(x)[0].sum(), (x,), (tangent,))[1]
    (reverse,) = torch.autograd.grad(layer(x.requires_grad_())[0].sum(), x)
    row = tolerances.GRADIENT["float64"]
    torch.testing.assert_close(forward, (reverse * tangent).sum(), rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize(("cell", "options"), VARIANTS)
@pytest.mark.parametrize("training", [True, False])
def test_variants_of_the_first_and_second_order(cell: str, options: dict[str, Any], training: bool) -> None:
    """Along random directions; test_variants compares every element with the reference."""
    layer = getattr(throughtime.nn, cell)(2, 3, bidirectional=True, dtype=torch.float64, **options).train(training)
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Tensor, *parameters: Tensor) -> Any:
        torch.manual_seed(2)  # the same masks each time
        output, after = torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (x,), {"lengths": [3, 2]}
        )
        return (output, *after) if cell == "LSTM" else (output, after)

    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, *layer.parameters())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.parametrize(("cell", "options"), VARIANTS)
def test_vmap_and_forward_mode_of_variants(cell: str, options: dict[str, Any]) -> None:
    test_vmap_and_forward_mode(cell, options, training=False)
    layer = getattr(throughtime.nn, cell)(2, 3, dtype=torch.float64, **options)
    x, tangent = torch.randn(2, 5, 4, 2, dtype=torch.float64).unbind(0)

    def function(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        output: Tensor = layer(x)[0]
        return output.sin().sum()

    forward = torch.func.jvp(function, (x,), (tangent,))[1]
    (reverse,) = torch.autograd.grad(function(x.requires_grad_()), x)
    row = tolerances.GRADIENT["float64"]
    torch.testing.assert_close(forward, (reverse * tangent).sum(), rtol=row.rtol, atol=row.atol)
