"""Arrays for the core begin with a cache line."""

import numpy as np
import pytest

from throughtime import kernels


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_begins_with_a_line(dtype: str) -> None:
    # Of different sizes, and all held: each begins elsewhere in a page.
    arrays = [kernels.new_array((rows, 3), np.dtype(dtype)) for rows in range(1, 400)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0), (2, 3, 5)])
def test_is_like_one_of_numpy(shape: tuple[int, ...]) -> None:
    array = kernels.new_array(shape, np.dtype("float32"))
    assert array.shape == shape
    assert array.dtype == np.float32
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 1.5
    assert (array == 1.5).all()
