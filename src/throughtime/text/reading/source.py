"""What every format gives: batches of rows, each of which knows where in the user's data it stands."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from throughtime.spec.model import LabelKind


@dataclass(frozen=True)
class Columns:
    """Names of the columns to use. None: text and label are guessed from the names; without `group` rows have none.

    group_needed: whether a row without a group is refused; else its group is "".
    """

    text: str | None = None
    label: str | None = None
    group: str | None = None
    group_needed: bool = True


GUESSED: Final = Columns()
"""Nothing named."""


@dataclass
class RowBatch:
    """Consecutive rows of a source.

    texts, labels, groups: one string a row; labels are None for an unlabelled source, groups where none are known, and
    one is "" for a row without. first_row: number of the first row in the source, from 0. lines: line of the file on
    which each row starts, from 1 (formats with lines). paths: file of each row (folders and archives). name: what the
    user called the source.
    """

    texts: list[str]
    labels: list[str] | None
    groups: list[str] | None
    first_row: int
    lines: list[int] | None = None
    name: str = "data"
    paths: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, i: int) -> str:
        """Place of row `i` of this batch, for messages: "FILE, line 17", "FILE, row 12" (from 1), or its own file."""
        if self.paths is not None:
            return self.paths[i]
        if self.lines is not None:
            return f"{self.name}, line {self.lines[i]}"
        return f"{self.name}, row {self.first_row + i + 1}"


class Source(Protocol):
    """Rows that can be read several times, in the same order."""

    name: str
    """What the user gave, for messages."""

    @property
    def label_kind(self) -> LabelKind:
        """What the labels were before they became strings; "str" for an unlabelled source.

        Parquet and JSON say it. In CSV and TSV it is "int", "bool" or "float" where every label of the file reads as
        one (`7`, `True`, `1.0`). Known after one full pass over `rows()`; asked before that, it makes that pass.
        """
        ...

    def fingerprint(self) -> str:
        """SHA-256 (hex) over the content and everything that decides how it is read; streamed, not kept."""
        ...

    def rows(self, batch_size: int = 1024) -> Iterator[RowBatch]:
        """All rows from the start, at most `batch_size` a batch (fewer where texts are long).

        Raises:
            DataError: a row cannot be used, or there is none; names file, line and remedy.
        """
        ...
