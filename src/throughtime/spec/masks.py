"""The random numbers of one call: drawn once, from torch's generator, and handed to whatever computes.

As explicit arguments they are the same on every backend, and a test can hand them to the equations.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")


@dataclass(frozen=True)
class Masks(Generic[Array]):
    """Those of one direction of one layer; None where an option is off, and outside of training.

    zoneout_h, zoneout_c: (seq_len, batch, features of h or hidden_size), or (tokens, …) where the input is without
        padding: True where h or c keeps the value of the step before. Indexed by the input's own step, in both
        directions. Outside of training the shares themselves mix old and new.
    recurrent: (batch, features of h), 0 or 1 / (1 - p): multiplies h_{t-1} where it enters W_hh.
    weight_hh: in the shape of weight_hh, 0 or 1 / (1 - p): multiplies it.
    """

    zoneout_h: Array | None = None
    zoneout_c: Array | None = None
    recurrent: Array | None = None
    weight_hh: Array | None = None
