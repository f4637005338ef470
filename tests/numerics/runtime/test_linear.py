"""The linear layer of prediction: NumPy's product, and no row depends on the rows beside it."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from throughtime import kernels
from throughtime.runtime.linear import Linear

SIZES = [(1, 1), (3, 1), (7, 2), (33, 5), (100, 20), (512, 2), (64, 17), (256, 300)]


def drawn(inputs: int, outputs: int, dtype: str, rows: int = 64) -> list[NDArray[Any]]:
    rng = np.random.default_rng(inputs + outputs)
    return [rng.normal(size=shape).astype(dtype) for shape in ((outputs, inputs), (outputs,), (rows, inputs))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
@pytest.mark.parametrize("native", [True, False])
def test_it_is_the_product(
    inputs: int, outputs: int, dtype: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        monkeypatch.setattr(kernels, "available", lambda: False)
    weight, bias, x = drawn(inputs, outputs, dtype)
    expected = x.astype(np.float64) @ weight.T.astype(np.float64) + bias
    found = Linear(weight, bias)(x)
    assert found.dtype == dtype
    # Of each sum the terms' sizes bound the error: |error| <= (terms + 1) eps sum |terms|.
    bound = (inputs + 2) * np.finfo(dtype).eps * (np.abs(x) @ np.abs(weight.T) + np.abs(bias))
    assert (np.abs(found - expected) <= bound).all()


@pytest.mark.skipif(not kernels.available(), reason="needs the native core, which is not compiled here")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("inputs", "outputs"), SIZES)
def test_a_row_is_the_same_bits_in_any_batch(inputs: int, outputs: int, dtype: str) -> None:
    weight, bias, x = drawn(inputs, outputs, dtype)
    linear = Linear(weight, bias)
    whole = linear(x)
    for rows in range(1, len(x)):
        np.testing.assert_array_equal(linear(x[:rows]), whole[:rows])
        np.testing.assert_array_equal(linear(x[rows - 1 : rows]), whole[rows - 1 : rows])
    np.testing.assert_array_equal(linear(x[::-1]), whole[::-1])
    np.testing.assert_array_equal(linear(np.asfortranarray(x)), whole)
