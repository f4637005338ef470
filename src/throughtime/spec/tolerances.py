"""The one table of tolerances: how close two computations of the same numbers must be, by dtype.

A test names a row; no test brings a number of its own. `central` is for hand-derived gradients against central
differences in float64, whose own error is about step² + eps / step.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tolerance:
    """Largest allowed |a − b| is atol + rtol * |b|."""

    rtol: float
    atol: float

    def of_sums(self, largest: float) -> "Tolerance":
        """For an array of long sums whose largest value is `largest`: where that is above 1, atol is relative to it.

        An element whose terms cancel has the rounding of its terms, not of what is left of them. The RNN with identity
        nonlinearity, 300 units and 21 steps, shows it in float32: one of the 90,000 elements of d weight_hh, of which
        the largest is about 50, is 3e-5 off at a value of 0.2. The core's tests in C++ compare gradients so too.
        """
        return Tolerance(self.rtol, self.atol * max(1.0, largest))


OUTPUT: Final[dict[str, Tolerance]] = {
    "float32": Tolerance(rtol=2e-6, atol=2e-6),
    "float64": Tolerance(rtol=1e-12, atol=1e-12),
}
OUTPUT_NORMALISED: Final[dict[str, Tolerance]] = {
    "float32": Tolerance(rtol=1e-5, atol=1e-5),
    "float64": Tolerance(rtol=1e-11, atol=1e-11),
}
"""OUTPUT with layer normalisation inside of the cell: every step divides what was rounded by its deviation, which may
be small. Over 60 steps of an LSTM of 100 units the same formulas on torch operations in float32 are up to 1.0e-5 off,
the core up to 1.6e-6 (8 seeds)."""
GRADIENT: Final[dict[str, Tolerance]] = {
    "float32": Tolerance(rtol=2e-5, atol=2e-5),
    "float64": Tolerance(rtol=1e-11, atol=1e-12),
}
CENTRAL: Final = Tolerance(rtol=1e-7, atol=1e-8)
PROBABILITY: Final = Tolerance(rtol=0.0, atol=1e-5)
"""Prediction from a model directory against the trainer's own probabilities."""
OTHER_LIBRARY: Final = Tolerance(rtol=1e-4, atol=1e-4)
"""Another library's float32 layer, in the benchmarks: that it computes the same, with its own approximations."""
ITERATED: Final = Tolerance(rtol=2e-3, atol=0.0)
"""A largest singular value by iteration, which ends when a round adds less than 1e-4 of it, against the true one."""
PROBES: Final = Tolerance(rtol=0.35, atol=0.0)
"""A mean singular value from 64 random probes, of standard error at most 9 %, against the true one: four of those."""
ARNOLDI: Final = Tolerance(rtol=2e-2, atol=0.0)
"""A spectral radius by 64 steps of Arnoldi's iteration, without restarts, against that of the full matrix."""
