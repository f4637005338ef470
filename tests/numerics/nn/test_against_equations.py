"""The layers against the NumPy reference with its gradients derived by hand: every option, every argument."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime import equations
from throughtime.nn import fused
from throughtime.spec import tolerances

OUTPUT, GRADIENT = tolerances.OUTPUT["float64"], tolerances.GRADIENT["float64"]

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("RNN", {"nonlinearity": "identity"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
    ("LSTM", {"bias": False}),
]


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("hidden_size", [[3, 5], [4, 4]])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("lengths", "way"),
    [
        (lengths, way)
        for lengths in (None, [1, 1, 1], [2, 2, 2], [2, 7, 1])
        for way in ("native", "held", "packed")
        if way != "packed" or lengths == [2, 7, 1]
    ],
)
def test_values_and_all_gradients(
    cell: str,
    options: dict[str, Any],
    hidden_size: list[int],
    bidirectional: bool,
    lengths: list[int] | None,
    way: str,
    run: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "prefers_packing", lambda ragged: way == "packed")
    options = {**options, "backend": "native" if way == "native" else "torch"}
    layer = getattr(throughtime.nn, cell)(3, hidden_size, bidirectional=bidirectional, dtype=torch.float64, **options)
    batch, directions = 3, 1 + bidirectional
    x = torch.randn(max(lengths or [7]), batch, 3, dtype=torch.float64)

    def layers() -> list[Tensor]:
        return [torch.randn(directions, batch, size, dtype=torch.float64) for size in hidden_size]

    equal = len(set(hidden_size)) == 1
    parts = [layers(), layers()] if cell == "LSTM" else [layers()]
    form: list[Any] = [torch.cat(part) for part in parts] if equal else parts
    got = run(layer, x, tuple(form) if cell == "LSTM" else form[0], lengths=lengths)

    arrays = [[tensor.detach().numpy() for tensor in part] for part in parts]
    parameters = {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()}
    state = (arrays[0], arrays[1]) if cell == "LSTM" else arrays[0]
    trace = equations.forward(layer.options, parameters, x.detach().numpy(), lengths, state)

    def by_layer(tensors: dict[str, Tensor], name: str) -> list[Tensor]:
        """One tensor a layer, from either form of the state."""
        return list(torch.split(tensors[name], directions)) if equal else [tensors[f"{name}[{i}]"] for i in range(2)]

    names = ["[0]", "[1]"] if cell == "LSTM" else [""]
    upstream = [[part.numpy() for part in by_layer(got.upstream, f"state{name}")] for name in names]
    expected = equations.backward(trace, got.upstream["output"].numpy(), *upstream)

    def check(ours: Tensor, reference: Any, row: tolerances.Tolerance) -> None:
        torch.testing.assert_close(ours, torch.from_numpy(reference), rtol=row.rtol, atol=row.atol)

    check(got.values["output"], trace.output, OUTPUT)
    for name, ends, d_starts in zip(names, [trace.h_n, trace.c_n], [expected.d_h_0, expected.d_c_0], strict=False):
        for ours, end in zip(by_layer(got.values, f"state{name}"), ends, strict=True):
            check(ours, end, OUTPUT)
        for ours, d_start in zip(by_layer(got.gradients, f"hx{name}"), d_starts, strict=True):
            check(ours, d_start, GRADIENT)
    check(got.gradients["input"], expected.d_input, GRADIENT)
    assert expected.d_parameters.keys() == parameters.keys()
    for name, d_parameter in expected.d_parameters.items():
        check(got.gradients[name], d_parameter, GRADIENT)
