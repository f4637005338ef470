"""Memory length: how many steps back the gradient still reaches."""

import numpy as np
from numpy.typing import NDArray

from throughtime.flow.spread import Array


def memory_length(lags: NDArray[np.int64], norm: Array, level: float) -> float | None:
    """The lag from which on `norm` (lags,) stays below `level`, between two lags by straight lines over its logarithm.

    None where it is at `level` or above at the longest lag. A norm that falls and comes back counts as not fallen yet.
    """
    above = np.flatnonzero(norm >= level)
    if not len(above):
        return float(lags[0])
    last = int(above[-1])
    if last + 1 == len(lags):
        return None
    if norm[last + 1] <= 0.0 or not np.isfinite(norm[last]):
        return float(lags[last + 1])
    high, low = np.log(norm[last]), np.log(norm[last + 1])
    share = (high - np.log(level)) / (high - low)
    return float(lags[last] + share * (lags[last + 1] - lags[last]))
