"""Which rows train, which validate, which test: nothing that is in one side may be known from another."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.errors import DataError, OptionError

TRAIN: Final = 0
VALIDATION: Final = 1
TEST: Final = 2

_NAMES: Final = {VALIDATION: "validation", TEST: "test"}


def split(
    labels: NDArray[np.int32],
    groups: NDArray[np.int64] | None,
    text_hashes: NDArray[np.uint64],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    empty: NDArray[np.bool_] | None = None,
    drawn_by: NDArray[np.uint64] | None = None,
    of_files: bool = True,
) -> NDArray[np.int8]:
    """Assigns each row to TRAIN, VALIDATION or TEST.

    With groups, whole groups (movies, authors, patients) go to one side. Without, rows of the same text go together,
    and the shares of the classes are kept. Every class stays in training: a group with its last rows is not taken away.

    Args:
        labels: (rows,), class of each row.
        groups: (rows,), equal for rows of one group; None where no group is known.
        text_hashes: (rows,), equal for texts that are the same.
        validation_fraction, test_fraction: shares of the rows, 0 for none; about reached, as groups stay whole.
        seed: another seed, another split.
        empty: (rows,), rows without text; they know nothing of each other, so they are not held together as equal
            texts, and do not count as rows from which a class is learnt.
        drawn_by: (rows,), equal for texts that are equal to the letter; None: as text_hashes. These are drawn, and
            others that are the same go with the first: so they leave nearly all rows where they would be without them.
        of_files: whether held-out texts could come from a file of their own, for messages.
    Returns:
        (rows,) int8.
    Raises:
        OptionError: a fraction below 0, or both together 1 or more.
        DataError: nothing can be held out without emptying a class or tearing a group.
    """
    if validation_fraction < 0 or test_fraction < 0 or validation_fraction + test_fraction >= 1:
        raise OptionError(
            "validation_fraction and test_fraction must be at least 0 and together below 1, "
            f"but are {validation_fraction} and {test_fraction}"
        )
    if seed < 0:
        raise OptionError(f"seed must be at least 0, but is {seed}")
    side = np.zeros(len(labels), dtype=np.int8)
    wanted = [(VALIDATION, validation_fraction), (TEST, test_fraction)]
    if not len(labels) or not any(fraction for _, fraction in wanted):
        return side
    filled = np.ones(len(labels), dtype=bool) if empty is None else ~empty
    keys = _keys(groups, text_hashes, filled)
    table = _Groups(labels, keys, filled, keys if drawn_by is None else _keys(groups, drawn_by, filled))
    generator = np.random.Generator(np.random.PCG64(seed))
    strata = table.shuffled(generator, by_class=groups is None)
    for number, fraction in wanted:
        if fraction:
            targets = _shares(fraction, [int(table.sizes[stratum].sum()) for stratum in strata], len(labels))
            for stratum, target in zip(strata, targets, strict=True):
                table.take(stratum, target, number, side)
            if not (side == number).any():
                raise _nothing_held_out(number, len(table.sizes), len(labels), groups is not None, of_files)
    return side


def _keys(
    groups: NDArray[np.int64] | None, text_hashes: NDArray[np.uint64], filled: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """(rows,), from 0, without gaps: equal for rows that must stay together.

    Numbered by first appearance, so that a text that changes and stays as unique as it was moves no row.
    """
    if groups is not None:
        return _by_appearance(groups)
    keys = _by_appearance(text_hashes)
    keys[~filled] = len(keys) + np.arange(np.count_nonzero(~filled))
    return _by_appearance(keys)


def _by_appearance(values: NDArray[np.int64] | NDArray[np.uint64]) -> NDArray[np.int64]:
    _, first, places = np.unique(values, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[places]


def _shares(fraction: float, sizes: list[int], rows: int) -> list[int]:
    """Rows to take from each stratum: at least one in all, in proportion to the sizes, by largest remainder."""
    exact = np.array(sizes, dtype=np.float64) * fraction
    shares = np.floor(exact).astype(np.int64)
    missing = max(1, round(rows * fraction)) - int(shares.sum())
    order = np.argsort(-(exact - shares), kind="stable")
    shares[order[: max(missing, 0)]] += 1
    return [int(share) for share in shares]


class _Groups:
    """Rows sorted by group, and how many rows of each class are still in training."""

    def __init__(
        self,
        labels: NDArray[np.int32],
        keys: NDArray[np.int64],
        filled: NDArray[np.bool_],
        drawn_by: NDArray[np.int64],
    ) -> None:
        self._labels = labels
        self._filled = filled
        self._rows = np.argsort(keys, kind="stable")
        self.sizes = np.bincount(keys)
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)])
        self._draws = drawn_by[self._rows[self._starts[:-1]]]
        self._different = int(drawn_by.max()) + 1
        self._remaining = np.bincount(labels[filled], minlength=int(labels.max()) + 1)
        self._taken = np.zeros(len(self.sizes), dtype=bool)

    def shuffled(self, generator: np.random.Generator, *, by_class: bool) -> list[NDArray[np.int64]]:
        """Groups in random order, apart by the class of their first row if asked."""
        drawn = generator.permutation(self._different)
        place = np.empty(self._different, dtype=np.int64)
        place[drawn] = np.arange(self._different)
        order = np.argsort(place[self._draws])
        if not by_class:
            return [order]
        classes = self._labels[self._rows[self._starts[order]]]
        return [order[classes == number] for number in range(int(self._labels.max()) + 1)]

    def take(self, order: NDArray[np.int64], target: int, number: int, side: NDArray[np.int8]) -> None:
        """Moves groups, in this order, to side `number` until it has about `target` rows of them.

        A group is passed over if it would overshoot by more than what is missing without it, or empty a class.
        """
        missing = target
        for group in order:
            size = int(self.sizes[group])
            if missing <= 0:
                return
            if self._taken[group] or size - missing > missing:
                continue
            rows = self._rows[self._starts[group] : self._starts[group + 1]]
            leaving = self._labels[rows[self._filled[rows]]]
            if self._empties_a_class(leaving):
                continue
            np.subtract.at(self._remaining, leaving, 1)
            self._taken[group] = True
            side[rows] = number
            missing -= size

    def _empties_a_class(self, leaving: NDArray[np.int32]) -> bool:
        classes, counts = np.unique(leaving, return_counts=True)
        return bool((self._remaining[classes] <= counts).any())


def _nothing_held_out(number: int, groups: int, rows: int, by_group: bool, of_files: bool) -> DataError:
    name = _NAMES[number]
    several = "" if groups == 1 else "s"
    what = f"{groups} group{several}" if by_group else f"{groups} different text{several} (equal ones stay together)"
    others = "" if not by_group else "choose another group column, " if of_files else "choose other groups, "
    own = f", give a file of its own for {name}" if of_files else ""
    return DataError(
        f"no rows can be held out for {name}: the {rows} rows hold {what}, and every class must keep some in training; "
        f"{others}give more data{own}, or set training.{name}_fraction to 0"
    )
