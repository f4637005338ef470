"""Same seed, same parameters, results and gradients as torch's layers: on its backend to the last bit, natively within
the table of tolerances.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import throughtime.nn

CELLS = ["RNN", "GRU", "LSTM"]
SHAPES = [(1, False), (2, False), (3, True)]


def _pair(cell: str, *args: Any, backend: str = "torch", **options: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(11)
    theirs = getattr(torch.nn, cell)(*args, **options)
    torch.manual_seed(11)
    return getattr(throughtime.nn, cell)(*args, backend=backend, **options), theirs


def _state(cell: str, shape: tuple[int, ...], dtype: torch.dtype) -> Any:
    h_0, c_0 = torch.randn(2, *shape, dtype=dtype).unbind(0)
    return (h_0, c_0) if cell == "LSTM" else h_0


def _assert_same(got: Any, expected: Any) -> None:
    for ours, theirs in ((got.values, expected.values), (got.gradients, expected.gradients)):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("num_layers", "bidirectional"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given_state", [True, False])
def test_batched(
    cell: str,
    num_layers: int,
    bidirectional: bool,
    dtype: torch.dtype,
    bias: bool,
    given_state: bool,
    backend: str,
    run: Callable[..., Any],
    close: Callable[..., None],
) -> None:
    ours, theirs = _pair(cell, 5, 6, num_layers, backend=backend, bias=bias, bidirectional=bidirectional, dtype=dtype)
    x = torch.randn(7, 4, 5, dtype=dtype)
    hx = _state(cell, (num_layers * (1 + bidirectional), 4, 6), dtype) if given_state else None
    same = _assert_same if backend == "torch" else close
    same(run(ours, x, hx), run(theirs, x, hx))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("given_state", [True, False])
def test_unbatched(
    cell: str, given_state: bool, backend: str, run: Callable[..., Any], close: Callable[..., None]
) -> None:
    ours, theirs = _pair(cell, 5, 6, 2, batch_first=True, backend=backend)
    x = torch.randn(7, 5)
    hx = _state(cell, (2, 6), torch.float32) if given_state else None
    same = _assert_same if backend == "torch" else close
    same(run(ours, x, hx), run(theirs, x, hx))


@pytest.mark.parametrize("cell", CELLS)
def test_batch_first(cell: str, backend: str, run: Callable[..., Any], close: Callable[..., None]) -> None:
    ours, theirs = _pair(cell, 5, 6, 2, batch_first=True, bidirectional=True, backend=backend)
    x, hx = torch.randn(4, 7, 5), _state(cell, (4, 4, 6), torch.float32)
    same = _assert_same if backend == "torch" else close
    same(run(ours, x, hx), run(theirs, x, hx))


def test_relu(run: Callable[..., Any]) -> None:
    ours, theirs = _pair("RNN", 5, 6, 2, "relu", bidirectional=True)
    x = torch.randn(7, 4, 5)
    _assert_same(run(ours, x), run(theirs, x))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch_first", [True, False])
def test_dropout_draws_the_random_numbers_of_torch(
    cell: str, dtype: torch.dtype, batch_first: bool, run: Callable[..., Any]
) -> None:
    ours, theirs = _pair(cell, 5, 6, 3, dropout=0.4, bidirectional=True, batch_first=batch_first, dtype=dtype)
    x = torch.randn(7, 4, 5, dtype=dtype)
    results = []
    for layer in (ours, theirs):
        torch.manual_seed(5)
        results.append(run(layer, x))
    _assert_same(*results)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    assert torch.equal(ours.eval()(x)[0], ours(x)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_full_lengths_and_zero_state_change_nothing(cell: str, backend: str, run: Callable[..., Any]) -> None:
    ours, _ = _pair(cell, 5, 6, 2, bidirectional=True, backend=backend)
    x = torch.randn(7, 4, 5)
    _assert_same(run(ours, x, lengths=[7, 7, 7, 7]), run(ours, x))
    zeros = torch.zeros(4, 4, 6)
    with_state = run(ours, x, (zeros, zeros) if cell == "LSTM" else zeros)
    without = run(ours, x)
    for name, value in without.values.items():
        assert torch.equal(with_state.values[name], value)
    for name, value in without.gradients.items():
        assert torch.equal(with_state.gradients[name], value)


@pytest.mark.parametrize("cell", CELLS)
def test_zero_upstream_gradient_gives_exactly_zero(cell: str, backend: str) -> None:
    layer = getattr(throughtime.nn, cell)(5, 6, 2, bidirectional=True, backend=backend)
    x = torch.randn(7, 4, 5, requires_grad=True)
    output, _ = layer(x, lengths=[7, 2, 1, 5])
    output.backward(torch.zeros_like(output))
    assert x.grad is not None
    assert not x.grad.any()
    assert not any(p.grad.any() for p in layer.parameters())
