"""JSON Lines: one object a line, whose keys are the columns."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.columns import choose
from throughtime.text.reading.files import digest, refusing, require_file, shown, shown_path, text_lines
from throughtime.text.reading.labels import label_text
from throughtime.text.reading.source import Columns
from throughtime.text.reading.table import Row, TableSource


class JsonLinesSource(TableSource):
    r"""A .jsonl or .ndjson file. The first object's keys are the columns to guess from; blank lines are passed over.

    Texts are taken as JSON gives them: escaped NULs and lone surrogates (`\ud800`) included.
    """

    def __init__(self, path: Path, columns: Columns, *, labelled: bool) -> None:
        """Opens `path` and reads its first object.

        Raises:
            DataError: the file is missing or empty, its first line is no JSON object, or the columns are not there.
        """
        name = shown_path(path)
        require_file(path, name)
        self._path = path
        self.name = name
        first = next((record for _, record in self._records()), None)
        if first is None:
            raise DataError(f"{name}: holds no rows; give data with at least one row")
        strings = [key for key, value in first.items() if isinstance(value, str)]
        self._columns = choose(columns, list(first), strings, name, labelled=labelled)
        self._group_needed = columns.group_needed
        self._seen_kind: LabelKind = "str"
        super().__init__(name, labelled=self._columns.label is not None, grouped=self._columns.group is not None)

    def fingerprint(self) -> str:
        """See Source."""
        return digest(self._path, self.name, ("json lines", 1, self._columns))

    def _kind(self, labels: set[str]) -> LabelKind:
        return self._seen_kind

    def _records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with refusing(self.name), self._path.open("rb") as file:
            for number, line in enumerate(text_lines(file, self.name), 1):
                if line.isspace():
                    continue
                record = self._parsed(line, number)
                if not isinstance(record, dict):
                    raise DataError(
                        f"{self.name}, line {number}: not a JSON object but {_kind_name(record)}; "
                        'write one object a line, as in {"text": "...", "label": "..."}'
                    )
                yield number, record

    def _parsed(self, line: str, number: int) -> Any:
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{self.name}, line {number}: invalid JSON ({error.msg} at column {error.colno}); "
                "write one whole JSON object on this line"
            ) from None
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{self.name}, line {number}: JSON that cannot be read ({shown(error)}); correct or remove this line"
            ) from None

    def _read(self) -> Iterator[Row]:
        chosen, name = self._columns, self.name
        kind: LabelKind | None = None
        kind_line = 0
        for line, record in self._records():
            text = self._value(record, chosen.text, line)
            if not isinstance(text, str):
                raise DataError(
                    f"{name}, line {line}: the text in '{shown(chosen.text)}' is {_kind_name(text)}, not a string; "
                    "write a string or remove this row"
                )
            label = group = ""
            if chosen.label is not None:
                where = f"{name}, line {line}"
                label, found = label_text(self._value(record, chosen.label, line), where, chosen.label)
                if kind is None:
                    kind, kind_line = found, line
                elif found != kind:
                    raise DataError(
                        f"{where}: label {shown(label)} is of type {found}, but that of line {kind_line} is {kind}; "
                        "write all labels as one type, for instance as strings"
                    )
            if chosen.group is not None:
                value = self._value(record, chosen.group, line) if self._group_needed else record.get(chosen.group)
                group = str(value).strip() if isinstance(value, str | int) else ""
                if not group and self._group_needed:
                    raise DataError(
                        f"{name}, line {line}: no group in '{shown(chosen.group)}' (it is {_kind_name(value)}); "
                        "write a string or whole number, or leave out --group-column"
                    )
            yield Row(text, label, group, line)
        self._seen_kind = kind or "str"

    def _value(self, record: dict[str, Any], column: str, line: int) -> Any:
        try:
            return record[column]
        except KeyError:
            keys = ", ".join(f"'{shown(key, 40)}'" for key in list(record)[:20]) or "none"
            raise DataError(
                f"{self.name}, line {line}: no key '{shown(column)}' (the keys are {keys}); add it or remove this row"
            ) from None


def _kind_name(value: object) -> str:
    """What JSON calls the type of `value`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "an empty string" if not value.strip() else "a string"
    return "an array" if isinstance(value, list) else "an object"
