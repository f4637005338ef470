"""Truncated back-propagation through time: which errors flow how far. Definition: docs/derivations/truncation.md."""

from dataclasses import dataclass

from throughtime.spec.errors import OptionError


@dataclass(frozen=True)
class Window:
    """One backward pass over steps start … stop-1 (from 0), fed with the errors of steps first_error … stop-1 only.

    If start is 0 the pass reaches the initial state; otherwise the state before step `start` is a constant.
    """

    start: int
    first_error: int
    stop: int


def windows(seq_len: int, truncation: tuple[int, int] | None) -> list[Window]:
    """The backward passes whose sum is the gradient: one over all steps if `truncation` is None, else one every k1.

    Args:
        seq_len: number of steps.
        truncation: (k1, k2): every k1 steps, the errors of the last k1 outputs go back through the last k2 steps.
    Raises:
        OptionError: not 1 <= k1 <= k2; with k2 < k1 some errors would reach nothing.
    """
    if truncation is None:
        return [Window(start=0, first_error=0, stop=seq_len)]  # truncation.md (1)
    k1, k2 = truncation
    if not 1 <= k1 <= k2:
        raise OptionError(
            f"truncation (k1, k2) must have 1 <= k1 <= k2, but is ({k1}, {k2}): choose k1 of at least 1, and k2 of at "
            "least k1"
        )
    return [
        Window(start=max(0, end - k2), first_error=end - k1, stop=min(end, seq_len))  # truncation.md (2), (3)
        for end in range(k1, seq_len + k1, k1)
    ]
