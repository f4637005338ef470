"""The time loop's derivatives against central differences, of the second order too."""

from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime.spec import tolerances

LOOPED: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "identity"}),
    ("GRU", {"reset_after": False}),
]


@pytest.mark.parametrize(("cell", "options"), LOOPED)
@pytest.mark.parametrize("lengths", [None, [2, 3]])
def test_every_argument_against_central_differences(
    cell: str, options: dict[str, Any], lengths: list[int] | None
) -> None:
    layer = getattr(throughtime.nn, cell)(2, 3, bidirectional=True, dtype=torch.float64, **options)
    names = [name for name, _ in layer.named_parameters()]

    def function(x: Tensor, h_0: Tensor, *parameters: Tensor) -> Any:
        return torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (x, h_0), {"lengths": lengths}
        )

    x, h_0 = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in [(3, 2, 2), (2, 2, 3)])
    row = tolerances.CENTRAL
    assert torch.autograd.gradcheck(function, (x, h_0, *layer.parameters()), rtol=row.rtol, atol=row.atol)
    assert torch.autograd.gradgradcheck(
        lambda x, h_0: layer(x, h_0, lengths)[0], (x, h_0), rtol=row.rtol, atol=row.atol
    )


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch's own jvp uses it
@pytest.mark.parametrize(("cell", "options"), LOOPED)
def test_vmap_and_forward_mode(cell: str, options: dict[str, Any]) -> None:
    layer = getattr(throughtime.nn, cell)(2, 3, dtype=torch.float64, **options)
    x = torch.randn(5, 4, 2, dtype=torch.float64)
    one_by_one = torch.func.vmap(lambda sequence: layer(sequence)[0], in_dims=1, out_dims=1)(x)
    row = tolerances.OUTPUT["float64"]
    torch.testing.assert_close(one_by_one, layer(x)[0], rtol=row.rtol, atol=row.atol)
    tangent = torch.randn_like(x)
    forward = torch.func.jvp(lambda x: layer(x)[0].sum(), (x,), (tangent,))[1]
    (reverse,) = torch.autograd.grad(layer(x.requires_grad_())[0].sum(), x)
    row = tolerances.GRADIENT["float64"]
    torch.testing.assert_close(forward, (reverse * tangent).sum(), rtol=row.rtol, atol=row.atol)
