"""What all formats share: rows gathered into batches, labels watched, emptiness refused."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final, NamedTuple

from throughtime.spec.errors import DataError, OptionError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.labels import require_classes
from throughtime.text.reading.source import RowBatch

MAX_BATCH_CHARACTERS: Final = 2**23
"""A batch is handed over once its texts are longer than this together, however few they are."""


class Row(NamedTuple):
    """One row: label and group are "" where the source has none; line is 0 and path "" where the format has none."""

    text: str
    label: str
    group: str
    line: int = 0
    path: str = ""


class TableSource(ABC):
    """A Source whose format says how to read one row after the other."""

    def __init__(self, name: str, *, labelled: bool, grouped: bool) -> None:
        self.name = name
        self.labelled = labelled
        self.grouped = grouped
        self._label_kind: LabelKind | None = None

    @abstractmethod
    def fingerprint(self) -> str:
        """See Source."""

    @abstractmethod
    def _read(self) -> Iterator[Row]:
        """All rows from the start."""

    @abstractmethod
    def _kind(self, labels: set[str]) -> LabelKind:
        """What the labels were; asked after a full pass, with all different labels."""

    @property
    def label_kind(self) -> LabelKind:
        """See Source."""
        if not self.labelled:
            return "str"
        if self._label_kind is None:
            for _ in self.rows():
                pass
            # A full pass ends with the kind set, or raises.
        assert self._label_kind is not None
        return self._label_kind

    def rows(self, batch_size: int = 1024) -> Iterator[RowBatch]:
        """See Source."""
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, but is {batch_size}")
        return self._batches(batch_size)

    def _batches(self, batch_size: int) -> Iterator[RowBatch]:
        distinct: set[str] = set()
        count = 0
        gathered: list[Row] = []
        characters = 0
        for row in self._read():
            gathered.append(row)
            characters += len(row.text)
            if len(gathered) == batch_size or characters > MAX_BATCH_CHARACTERS:
                yield self._batch(gathered, count, distinct)
                count += len(gathered)
                gathered, characters = [], 0
        if gathered:
            yield self._batch(gathered, count, distinct)
            count += len(gathered)
        if not count:
            raise DataError(f"{self.name}: holds no rows; give data with at least one row")
        if self.labelled:
            require_classes(distinct, count, self.name, complete=True)
            self._label_kind = self._kind(distinct)

    def _batch(self, rows: list[Row], first_row: int, distinct: set[str]) -> RowBatch:
        texts, labels, groups, lines, paths = (list(column) for column in zip(*rows, strict=True))
        if self.labelled:
            distinct.update(labels)
            require_classes(distinct, first_row + len(rows), self.name, complete=False)
        return RowBatch(
            texts=texts,
            labels=labels if self.labelled else None,
            groups=groups if self.grouped else None,
            first_row=first_row,
            lines=lines if lines[0] else None,
            name=self.name,
            paths=paths if paths[0] else None,
        )
