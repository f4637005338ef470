"""How much a measurement does."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from throughtime.flow.lags import chosen_lags
from throughtime.spec.errors import OptionError


@dataclass(frozen=True)
class Settings:
    """What a measurement may be told; the keyword arguments of `measure`.

    Args:
        sequences: the longest so many of the batch are behind norms of Jacobians, radii and exponents.
        exponents: leading Lyapunov exponents, at most the size of the state.
        samples: steps at which the spectral radius is taken.
        lags: at which ∂s_T/∂s_{T-k} is measured; None chooses, densely where it is cheap. 0, the length of the longest
            sequence and the longest lag that half of these sequences reach are always among them.
        exact: form products of Jacobians and take all their eigenvalues (True), never (False), or up to
            `flow.lags.EXACT_SIZE` features of the state (None).
        seed: of random directions; torch's own generator is left as it is.
    Raises:
        OptionError: a value that does not exist.
    """

    sequences: int = 4
    exponents: int = 4
    samples: int = 16
    lags: Sequence[int] | None = None
    exact: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("sequences", "exponents", "samples"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, but is {getattr(self, name)}")

    @classmethod
    def read(cls, given: dict[str, Any]) -> Self:
        """Raises:
        OptionError: a name that does not exist.
        """
        names = [field.name for field in fields(cls)]
        if unknown := [name for name in given if name not in names]:
            raise OptionError(
                f"measure has no argument {unknown[0]!r}; beside the batch and loss it has {', '.join(names)}"
            )
        return cls(**given)

    def lags_of(self, lengths: Sequence[int], *, exact: bool) -> list[int]:
        """lengths: of the sequences behind norms, falling.

        Raises:
            OptionError: a lag below 0 or above the longest sequence.
        """
        longest, half = lengths[0], lengths[(len(lengths) - 1) // 2]
        if self.lags is None:
            return sorted({half, *chosen_lags(longest, dense=exact)})
        if wrong := [lag for lag in self.lags if not 0 <= lag <= longest]:
            raise OptionError(f"lags must be from 0 to the longest sequence's {longest} steps, but one is {wrong[0]}")
        return sorted({0, half, longest, *self.lags})
