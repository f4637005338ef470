"""Pooling over texts without padding, against its definition, on both backends."""

import pytest
import torch
from torch import Tensor

from throughtime import kernels
from throughtime.nn import native, pooling
from throughtime.nn.pooling import pool
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError, ShapeError

LENGTHS = [1, 5, 500, 33, 7, 900, 64, 800]


@pytest.fixture(autouse=True)
def chosen(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "native":
        assert kernels.available()
    else:
        monkeypatch.setattr(native, "unfit", lambda values, weights: "this test wants torch")


def _defined(values: Tensor, lengths: list[int]) -> list[Tensor]:
    texts = values.split_with_sizes(lengths)
    return [torch.stack([t.max(dim=0).values for t in texts]), torch.stack([t.mean(dim=0) for t in texts])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("features", [1, 3, 16, 17, 100, 256])
@pytest.mark.parametrize("threads", [1, 2])
def test_definition(dtype: torch.dtype, features: int, threads: int) -> None:
    torch.set_num_threads(threads)
    values = torch.randn(sum(LENGTHS), features, dtype=dtype, requires_grad=True)
    got, expected = pool(values, LENGTHS, maximum=True, mean=True), _defined(values, LENGTHS)
    output, gradient = (table[str(dtype).removeprefix("torch.")] for table in (tolerances.OUTPUT, tolerances.GRADIENT))
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=output.rtol, atol=output.atol)
    for wanted in ({"maximum": True}, {"mean": True}):
        [alone] = pool(values, LENGTHS, **wanted)
        assert torch.equal(alone, got[0 if "maximum" in wanted else 1])
    upstream = [torch.randn_like(part) for part in expected]
    gradients = [torch.autograd.grad(parts, values, upstream)[0] for parts in (got, expected)]
    torch.testing.assert_close(*gradients, rtol=gradient.rtol, atol=gradient.atol)


def test_derivatives() -> None:
    values = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)

    def run(values: Tensor) -> tuple[Tensor, ...]:
        return tuple(part**2 for part in pool(values, [3, 4, 5], maximum=True, mean=True))

    assert torch.autograd.gradcheck(run, (values,))
    assert torch.autograd.gradgradcheck(run, (values,))


def test_nan_infinities_and_equal_maxima() -> None:
    nan, inf = float("nan"), float("inf")
    values = torch.tensor([[nan, -inf, 2.0, 1.0], [3.0, -inf, 2.0, nan], [1.0, -inf, 0.0, 9.0]], requires_grad=True)
    [highest] = pool(values, [3], maximum=True)
    assert torch.equal(highest.isnan(), torch.tensor([[True, False, False, True]]))
    assert highest[0, 1] == -inf
    [gradient] = torch.autograd.grad(highest[0, 2], values)
    assert gradient.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([3, 2], "lengths must add up to the tokens, but 5 != 6"),
        ([6, 0], r"lengths must be at least 1, but lengths\[1\] is 0"),
        ([3.0, 3.0], "lengths must be .* integers, but .* torch.float32"),
        ([[6]], r"lengths must be \(batch,\) integers, but its shape is \(1, 1\)"),
    ],
)
def test_lengths_that_do_not_fit(lengths: list[int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        pool(torch.zeros(6, 2), lengths, mean=True)


def test_other_refusals() -> None:
    with pytest.raises(ShapeError, match="there must be at least 1 token"):
        pool(torch.zeros(0, 2), torch.tensor([], dtype=torch.int64), mean=True)
    with pytest.raises(ShapeError, match=r"values must have 2 axes, \(tokens, features\), but has 3: \(1, 6, 2\)"):
        pool(torch.zeros(1, 6, 2), [6], mean=True)
    with pytest.raises(OptionError, match="maximum or mean must be asked for"):
        pooling.pool(torch.zeros(6, 2), [6])
