"""exp, sigmoid and tanh of the core: their error in units in the last place, and what they give at the ends.

The reference has more digits: float64 for float32, and for float64 the machine's long double.
The bounds are those that native/src/activations.inl states.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from throughtime.kernels import _core

Array = NDArray[Any]
FUNCTIONS = ("exp", "sigmoid", "tanh")
ULP = {"exp": 2.0, "sigmoid": 3.0, "tanh": 3.0}
FLOOR = {"float32": np.exp(-87.25), "float64": np.exp(-708.0)}
"""sigmoid is never less."""

each_function = pytest.mark.parametrize("function", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def activation(function: str, x: Array, isa: str) -> Array:
    kind = _core.LayerFloat32 if x.dtype == np.float32 else _core.LayerFloat64
    out = np.full_like(x, 7.0)
    kind(0, 0, True, 1, 1, 1, isa).activation(FUNCTIONS.index(function), x, out)
    return out


@pytest.fixture(scope="module")
def arguments() -> Callable[[str], Array]:
    """arguments(dtype): bit patterns at equal distances, NaN and infinities among them; then dense ranges."""
    whole = {
        "float32": np.concatenate(
            [
                np.arange(0, 2**32, 1021, dtype=np.uint32).view(np.float32),
                np.linspace(-110, 110, 1_000_003, dtype=np.float32),
            ]
        ),
        "float64": np.concatenate(
            [
                (np.arange(0, 600_011, dtype=np.uint64) * np.uint64(2**64 // 600_011)).view(np.float64),
                np.linspace(-760, 760, 500_009),
                np.linspace(-25, 25, 1_000_003),
                np.linspace(-1, 1, 300_007),
            ]
        ),
    }
    return whole.__getitem__


@each_function
@each_dtype
def test_error_over_the_whole_range(arguments: Callable[[str], Array], function: str, dtype: str, isa: str) -> None:
    if dtype == "float64" and np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant:
        pytest.skip("long double of this machine has no more digits than float64")
    x = arguments(dtype)
    got = activation(function, x, isa)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(x))
    x, got = x[~np.isnan(x)], got[~np.isnan(x)]
    with np.errstate(over="ignore", under="ignore"):
        wide: Any = x.astype(np.float64 if dtype == "float32" else np.longdouble)
        if function == "exp":
            exact: Any = np.exp(wide)
        elif function == "tanh":
            exact = np.tanh(wide)
        else:
            exact = np.maximum(1 / (1 + np.exp(-wide)), FLOOR[dtype])
    numbers = np.finfo(dtype)
    beyond = exact > float(numbers.max) * (1 + float(numbers.eps) / 4)
    assert np.all(np.isinf(got[beyond]))
    exact, got = exact[~beyond], got[~beyond]
    exponent = np.maximum(np.frexp(np.abs(exact))[1] - 1, numbers.minexp)
    ulp = np.ldexp(np.ones_like(exact), exponent - numbers.nmant)
    error = np.abs(got - exact) / ulp
    worst = int(np.argmax(error))
    assert error[worst] <= ULP[function], f"{function}({x[~beyond][worst]!r}) is off by {error[worst]} ulp"


@each_dtype
def test_the_ends(dtype: str, isa: str) -> None:
    ends = np.array([-np.inf, -0.0, 0.0, np.inf], dtype)
    np.testing.assert_array_equal(activation("exp", ends, isa), [0.0, 1.0, 1.0, np.inf])
    np.testing.assert_array_equal(activation("sigmoid", ends, isa)[1:], [0.5, 0.5, 1.0])
    assert 0.0 < activation("sigmoid", ends, isa)[0] <= 1.0001 * FLOOR[dtype]
    tanh = activation("tanh", ends, isa)
    np.testing.assert_array_equal(tanh, [-1.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(np.signbit(tanh), [True, True, False, False])


@each_function
@each_dtype
def test_never_outside_of_its_range(arguments: Callable[[str], Array], function: str, dtype: str, isa: str) -> None:
    x = arguments(dtype)
    got = activation(function, x[~np.isnan(x)], isa)
    assert got.min() >= (-1.0 if function == "tanh" else 0.0)
    assert function == "exp" or got.max() <= 1.0


@each_function
@each_dtype
@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 15, 16, 17, 33])
def test_a_number_does_not_depend_on_its_place(function: str, dtype: str, isa: str, count: int) -> None:
    x = np.random.default_rng(count).uniform(-5, 5, count).astype(dtype)
    alone = [activation(function, x[i : i + 1], isa)[0] for i in range(count)]
    np.testing.assert_array_equal(activation(function, x, isa), np.array(alone, dtype))
