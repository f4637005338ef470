"""Maximum and mean of each feature over texts that lie end to end: on the core, or in NumPy where there is none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime import kernels

Array = NDArray[Any]


def pool(values: Array, lengths: Array, *, maximum: bool, mean: bool) -> Array:
    """(tokens, features) of texts of these lengths, each at least 1 → those asked for side by side, (texts, features).

    values: float32 or float64.
    """
    values = np.ascontiguousarray(values)
    run = _on_core if kernels.available() else _in_numpy
    return np.concatenate(run(values, lengths, maximum, mean), axis=1)


def _on_core(values: Array, lengths: Array, maximum: bool, mean: bool) -> list[Array]:
    shape = (len(lengths), values.shape[1])
    highest, average = (np.empty(shape, values.dtype) if wanted else None for wanted in (maximum, mean))
    at = np.empty(shape, np.int32 if values.dtype == np.float32 else np.int64) if maximum else None
    kernels.pooling(values.dtype.name).forward(values, lengths.tolist(), highest, at, average, kernels.threads())
    return [part for part in (highest, average) if part is not None]


def _in_numpy(values: Array, lengths: Array, maximum: bool, mean: bool) -> list[Array]:
    starts = np.cumsum(lengths) - lengths
    parts = []
    if maximum:
        parts.append(np.maximum.reduceat(values, starts))
    if mean:
        parts.append(np.add.reduceat(values, starts) / lengths[:, None].astype(values.dtype))
    return parts
