"""Parquet files, in small batches of the columns that are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.columns import choose
from throughtime.text.reading.files import digest, require_file, shown, shown_path
from throughtime.text.reading.labels import label_text
from throughtime.text.reading.source import Columns
from throughtime.text.reading.table import Row, TableSource

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError as missing:
    raise DataError(
        f"reading Parquet needs pyarrow, which cannot be imported ({missing}); pip install 'throughtime[train]'"
    ) from None

_ROWS: Final = 1024
"""Rows that are decoded at a time."""


class ParquetSource(TableSource):
    """A .parquet file. Text is any column of strings; labels are strings, integers, booleans or whole floats."""

    def __init__(self, path: Path, columns: Columns, *, labelled: bool) -> None:
        """Opens `path` and reads its schema.

        Raises:
            DataError: the file is missing, no Parquet, cut short, without rows, or the columns are not there.
        """
        name = shown_path(path)
        require_file(path, name)
        self._path = path
        self.name = name
        with self._opened() as file:
            schema = file.schema_arrow
            if not file.metadata.num_rows:
                raise DataError(f"{name}: holds no rows; give data with at least one row")
        strings = [field.name for field in schema if _holds_strings(field.type)]
        self._columns = choose(columns, schema.names, strings, name, labelled=labelled)
        if self._columns.text not in strings:
            raise DataError(
                f"{name}: column '{shown(self._columns.text)}' holds {schema.field(self._columns.text).type}, "
                "not strings; name a column of strings with --text-column"
            )
        self._group_needed = columns.group_needed
        self._seen_kind: LabelKind = "str"
        super().__init__(name, labelled=self._columns.label is not None, grouped=self._columns.group is not None)

    def fingerprint(self) -> str:
        """See Source."""
        return digest(self._path, self.name, ("parquet", 1, self._columns))

    def _kind(self, labels: set[str]) -> LabelKind:
        return self._seen_kind

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            # Pages are read as they are needed, not a row group at a time.
            with pq.ParquetFile(self._path, pre_buffer=False, buffer_size=2**20) as file:
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.name}: not a whole Parquet file ({shown(error, 120)}); copy or download it again"
            ) from None

    def _read(self) -> Iterator[Row]:
        chosen = self._columns
        names = [column for column in (chosen.text, chosen.label, chosen.group) if column is not None]
        number = 0
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=_ROWS, columns=names, use_threads=False):
                texts = self._values(batch, chosen.text, number)
                labels = self._values(batch, chosen.label, number)
                groups = self._values(batch, chosen.group, number)
                for text, label, group in zip(texts, labels, groups, strict=True):
                    number += 1
                    yield self._row(text, label, group, number)

    def _values(self, batch: Any, column: str | None, before: int) -> list[Any]:
        """Python values of a column of `batch`, which starts after `before` rows; empty strings for no column."""
        if column is None:
            return [""] * batch.num_rows
        values = batch.column(column)
        try:
            return list(values.to_pylist())
        except UnicodeDecodeError:
            bad = next(i for i in range(len(values)) if not _is_utf8(values[i]))
            raise DataError(
                f"{self.name}, row {before + bad + 1}: invalid UTF-8 in column '{shown(column)}'; "
                "write the file again from properly decoded texts"
            ) from None

    def _row(self, text: Any, label: Any, group: Any, number: int) -> Row:
        chosen = self._columns
        if text is None:
            raise DataError(
                f"{self.name}, row {number}: no text (null) in column '{shown(chosen.text)}'; "
                "fill it in or remove this row"
            )
        name = ""
        if chosen.label is not None:
            name, self._seen_kind = label_text(label, f"{self.name}, row {number}", chosen.label)
        if chosen.group is not None:
            missing = group is None or group != group  # NaN is what pandas makes of a missing value
            group = "" if missing else str(group).strip()
            if not group and self._group_needed:
                raise DataError(
                    f"{self.name}, row {number}: no group in column '{shown(chosen.group)}'; fill it in, "
                    "or leave out --group-column"
                )
        return Row(text, name, group)


def _holds_strings(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_utf8(value: Any) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
