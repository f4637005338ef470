"""The first pass over the data: one label, one group and one hash a row; no text is kept."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.encoded import Progress
from throughtime.text.reading.files import shown
from throughtime.text.sameness import plain_form, stable_hash
from throughtime.text.splitting import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from throughtime.text.reading import RowBatch, Source

_NAMES: Final = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


@dataclass(frozen=True)
class RowTable:
    """What is known of each row before tokenising; arrays are (rows,), sources one after another.

    sources: (source, side), the training source first. starts: first row of each source, and the number of rows.
    hashes: equal for texts that are the same (`sameness.plain_form`); exact_hashes: for those equal to the letter.
    empty: whether a text is nothing in its plain form. groups: of the training source's rows. held_out_groups: those of
    a side's own source, each once, where it tells them.
    """

    sources: tuple[tuple["Source", int], ...]
    starts: tuple[int, ...]
    labels: NDArray[np.int32]
    groups: NDArray[np.int64] | None
    held_out_groups: Mapping[int, NDArray[np.int64]]
    hashes: NDArray[np.uint64]
    exact_hashes: NDArray[np.uint64]
    empty: NDArray[np.bool_]
    classes: tuple[str, ...]
    label_kind: LabelKind
    longest: int

    @property
    def rows(self) -> int:
        return self.starts[-1]


def index_rows(sources: Sequence[tuple["Source", int]], progress: Progress, *, lowercase: bool) -> RowTable:
    """Reads every source once. `lowercase`: whether the tokenizer drops case, so that it tells no texts apart.

    Raises:
        DataError: no labels; fewer than two classes; a validation or test label that training never has (names file,
            line and label); a source without rows; or a label that is no valid Unicode.
    """
    table = _Columns(lowercase)
    starts = [0]
    for source, side in sources:
        classes_of_training = None if side == TRAIN else frozenset(table.classes)
        for batch in source.rows():
            table.add(batch, source, side, classes_of_training)
            progress("reading", len(table.labels), None)
        if len(table.labels) == starts[-1]:
            raise DataError(f"{source.name}: it holds no rows; give labelled texts for {_NAMES[side]}")
        starts.append(len(table.labels))
        if side == TRAIN and len(table.classes) < 2:
            raise DataError(
                f"{source.name}: every row has the label {next(iter(table.classes))!r}; a classifier needs rows of two "
                "classes at least, so add some, or name another column where the labels are in one"
            )
    kind = sources[0][0].label_kind
    classes = _in_order(table.classes, kind)
    place = {name: number for number, name in enumerate(classes)}
    renumber = np.array([place[name] for name in table.classes], dtype=np.int32)
    groups = np.frombuffer(table.groups, dtype=np.int64) if len(table.groups) == starts[1] else None
    return RowTable(
        sources=tuple(sources),
        starts=tuple(starts),
        labels=renumber[np.frombuffer(table.labels, dtype=np.int32)],
        groups=groups,
        held_out_groups={side: np.array(sorted(found), np.int64) for side, found in table.held_out_groups.items()},
        hashes=np.frombuffer(table.hashes, dtype=np.uint64),
        exact_hashes=np.frombuffer(table.exact_hashes, dtype=np.uint64),
        empty=np.frombuffer(table.empty, dtype=np.bool_),
        classes=classes,
        label_kind=kind,
        longest=table.longest,
    )


class _Columns:
    """Grows by batches; a row costs 29 bytes."""

    def __init__(self, lowercase: bool) -> None:
        self._lowercase = lowercase
        self.classes: dict[str, int] = {}
        self.labels = array("i")
        self.groups = array("q")
        self.held_out_groups: dict[int, set[int]] = {}
        self.hashes = array("q")
        self.exact_hashes = array("q")
        self.empty = array("b")
        self.longest = 0

    def add(self, batch: "RowBatch", source: "Source", side: int, known: frozenset[str] | None) -> None:
        if batch.labels is None:
            raise DataError(f"{source.name}: it has no labels; name the column that holds them (--label-column)")
        if known is not None and not known.issuperset(batch.labels):
            place, label = next((i, label) for i, label in enumerate(batch.labels) if label not in known)
            raise DataError(
                f"{batch.where(place)}: label '{shown(label)}' of the {_NAMES[side]} data never stands in the training "
                f"data ({_listed(known)}); correct it, remove the row, or add such rows to the training data"
            )
        for place, label in enumerate(batch.labels):
            if label not in self.classes:
                _require_characters(label, batch.where(place))
                self.classes[label] = len(self.classes)
        self.labels.extend([self.classes[label] for label in batch.labels])
        plain = [plain_form(text, lowercase=self._lowercase) for text in batch.texts]
        self.hashes.extend(map(stable_hash, plain))
        self.exact_hashes.extend(map(stable_hash, batch.texts))
        self.empty.extend([not text for text in plain])
        if batch.groups is not None and side == TRAIN:
            self.groups.extend(map(stable_hash, batch.groups))
        elif batch.groups is not None:
            self.held_out_groups.setdefault(side, set()).update(stable_hash(group) for group in batch.groups if group)
        self.longest = max(self.longest, max(map(len, batch.texts), default=0))


def _require_characters(label: str, where: str) -> None:
    """Refuses a label that no file of a model can hold: one with a lone surrogate."""
    try:
        label.encode()
    except UnicodeEncodeError:
        raise DataError(
            f"{where}: label {label!r} holds half a character (a lone surrogate); write the label as valid Unicode"
        ) from None


def _in_order(names: Sequence[str] | dict[str, int], kind: LabelKind) -> tuple[str, ...]:
    if kind in ("int", "float"):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names))


def _listed(names: frozenset[str]) -> str:
    first = ", ".join(f"'{shown(name)}'" for name in sorted(names)[:8])
    return first if len(names) <= 8 else f"{first}, … {len(names)} in all"
