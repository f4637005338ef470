"""One number a sequence, and what is said of the batch: its mean and quantiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

LOW: Final = 0.1
HIGH: Final = 0.9


@dataclass(frozen=True)
class Spread:
    """Statistics over sequences, each array with a number a point (a lag, a distance, an exponent).

    low, high: the 10 % and 90 % quantiles. They and the median are values that occurred, never between two, so that
    they stay finite where some are not; `of` says which of the middle two the median is where the number is even.
    count: sequences behind a point.
    """

    mean: Array
    low: Array
    median: Array
    high: Array
    count: NDArray[np.int64]

    @classmethod
    def of(cls, points: Sequence[Tensor], *, upper: bool = False) -> "Spread":
        """An entry a point, in it one value a sequence.

        upper: whether the median of an even number is the upper of the middle two, and not the lower: so of two
            sequences that one is judged which is worse where large values are.
        """
        values = [point.detach().numpy() for point in points]
        quantiles = np.array(
            [np.quantile(value, (LOW, 0.5, HIGH), method="inverted_cdf") for value in values], dtype=np.float64
        ).reshape(-1, 3)
        if upper:
            quantiles[:, 1] = [np.quantile(value, 0.5, method="higher") for value in values]
        with np.errstate(over="ignore"):  # a sum may overflow where no value has
            mean = np.array([value.mean() for value in values], dtype=np.float64)
        return cls(
            mean=mean,
            low=quantiles[:, 0],
            median=quantiles[:, 1],
            high=quantiles[:, 2],
            count=np.array([len(value) for value in values], dtype=np.int64),
        )

    @property
    def shared(self) -> int:
        """Points, from the first on, that at least half of its sequences have: a median over fewer is of a few only."""
        return int((2 * self.count >= self.count[0]).sum())

    def as_dict(self) -> dict[str, Any]:
        """Lists of plain numbers, by name."""
        return {name: getattr(self, name).tolist() for name in ("mean", "low", "median", "high", "count")}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[float | None]]) -> Self:
        """The inverse of `as_dict`; None becomes NaN."""
        arrays = {name: np.array(values[name], dtype=np.float64) for name in ("mean", "low", "median", "high")}
        return cls(**arrays, count=np.array(values["count"], dtype=np.int64))
