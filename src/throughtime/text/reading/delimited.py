"""CSV and TSV: a header that names the columns, then one record a row, quoted as in RFC 4180."""

import csv
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.columns import choose
from throughtime.text.reading.files import MAX_TEXT, digest, refusing, require_file, shown, shown_path, text_lines
from throughtime.text.reading.labels import kind_of_strings, label_text
from throughtime.text.reading.source import Columns
from throughtime.text.reading.table import Row, TableSource

_Quoting: TypeAlias = Literal[0, 3]
"""csv.QUOTE_MINIMAL or csv.QUOTE_NONE."""
_PEEK_LINES: Final = 2000
"""Lines of a TSV file, from the first that could be quoted on, that decide whether its quotes are quotes."""
_QUOTED: Final = re.compile(rb'[\t\n]"')
"""The beginning of a field that begins with a quote."""
_BLOCK: Final = 1 << 20
_ANNOUNCED: Final = re.compile(r'\s*"?sep=(\S|\t)"?[,;\s]*', re.IGNORECASE)
"""The line that some spreadsheets write before the header; saved again, it has a field for each column."""


class DelimitedSource(TableSource):
    """A .csv file or a .tsv file.

    CSV has commas; semicolons or tabs where the header has no comma outside of quotes, or a line "sep=;" says so.

    Quotes in TSV files are ordinary characters in some, as in CSV in others: the first lines with some decide.
    """

    def __init__(
        self,
        path: Path,
        columns: Columns,
        *,
        labelled: bool,
        tabs: bool,
        name: str | None = None,
        only: tuple[str, str] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        """Opens `path` and reads its header.

        Args:
            path: the file.
            columns: what the user named.
            labelled: whether a label column is needed.
            tabs: whether this is a TSV file.
            name: what messages call it, instead of its path.
            only: (column, value): rows with another value in this column are passed over.
            renamed: labels that get another name.

        Raises:
            DataError: the file is missing or empty, its header cannot be read, or the columns are not there.
        """
        name = name or shown_path(path)
        require_file(path, name)
        self._path = path
        self._delimiter = "\t"
        self._quoting: _Quoting = csv.QUOTE_MINIMAL
        self._announced = False  # the delimiter, by a line before the header
        self._only = only
        self._renamed = dict(renamed or {})
        self.name = name
        if tabs:
            self._quoting = self._tsv_quoting()
        else:
            self._delimiter = self._csv_delimiter()
        self._header = self._read_header()
        if tabs and len(self._header) == 1 and columns.text != self._header[0]:
            self._require_tabs(self._header[0])
        candidates = [column for column in self._header if column != (only[0] if only else None)]
        self._columns = choose(columns, candidates, candidates, name, labelled=labelled)
        self._group_needed = columns.group_needed
        super().__init__(name, labelled=self._columns.label is not None, grouped=self._columns.group is not None)

    def fingerprint(self) -> str:
        """See Source."""
        facts = (
            "delimited",
            1,
            self._delimiter,
            self._quoting,
            self._columns,
            self._only,
            sorted(self._renamed.items()),
        )
        return digest(self._path, self.name, facts)

    def _kind(self, labels: set[str]) -> LabelKind:
        return kind_of_strings(labels, self.name)

    def _csv_delimiter(self) -> str:
        with refusing(self.name), self._path.open("rb") as file:
            header = next((line for line in text_lines(file, self.name) if line.strip()), "")
        if announced := _ANNOUNCED.fullmatch(header):
            if announced[1] not in ",;\t":
                raise DataError(
                    f"{self.name}: '{shown(announced[1])}' between the columns, as the line before the header says, is "
                    "not read; write commas, semicolons or tabs"
                )
            self._announced = True
            return announced[1]
        unquoted = re.sub(r'"[^"]*"', "", header)
        return next((mark for mark in ",;\t" if mark in unquoted), ",")

    def _tsv_quoting(self) -> _Quoting:
        """QUOTE_NONE where the deciding lines are a table without quotes, and with them none, or one of fewer rows.

        Fewer: a lone quote at the start of one text would take all rows up to a text that ends with one into itself.
        """
        _allow_long_fields()
        with refusing(self.name), self._path.open("rb") as file:
            start = _first_quoted(file)
            if start is None:
                return csv.QUOTE_MINIMAL
            file.seek(0)
            header = next((line for line in text_lines(file, self.name) if line.strip()), "")
            file.seek(start)
            try:
                filled = (line for line in text_lines(file, self.name) if line.strip())
                lines = [header, *islice(filled, _PEEK_LINES)]
            except DataError:  # reading tells the line, which is another one from the file's beginning
                return csv.QUOTE_MINIMAL
        with_quotes, without = _rows(lines, csv.QUOTE_MINIMAL), _rows(lines, csv.QUOTE_NONE)
        if with_quotes and (len(header.split("\t")) == 1 or _records_of(lines[1:], csv.QUOTE_NONNUMERIC) is not None):
            return csv.QUOTE_MINIMAL  # every field but numbers is quoted: a line end within quotes may be meant
        return csv.QUOTE_NONE if without > with_quotes else csv.QUOTE_MINIMAL

    def _read_header(self) -> list[str]:
        for _, record in self._records():
            return [column.strip() for column in record]
        raise DataError(f"{self.name}: no header; the first line must name the columns")

    def _require_tabs(self, column: str) -> None:
        """A table with other marks would be one column, whose texts hold the labels too."""
        for mark, word in ((",", "commas"), (";", "semicolons")):
            if mark in column:
                raise DataError(
                    f"{self.name}, line 1: no tabs between the columns, but {word}; if they part columns, name it "
                    f".csv, else rename its one column '{shown(column)}'"
                )

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line on which it starts; no blank lines, and before the header none of spaces."""
        begun = announced = False
        _allow_long_fields()
        with refusing(self.name), self._path.open("rb") as file:
            reader = csv.reader(
                text_lines(file, self.name), delimiter=self._delimiter, quoting=self._quoting, strict=True
            )
            while True:
                start = reader.line_num + 1
                try:
                    record = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise self._malformed(str(error), start, reader.line_num) from None
                if record and (begun or any(field.strip() for field in record)):
                    if not begun and self._announced and not announced:
                        announced = True
                        continue
                    begun = True
                    yield start, record

    def _read(self) -> Iterator[Row]:
        chosen, name = self._columns, self.name
        width = len(self._header)
        text_at = self._header.index(chosen.text)
        label_at = self._header.index(chosen.label) if chosen.label is not None else -1
        group_at = self._header.index(chosen.group) if chosen.group is not None else -1
        only_at, only_value = (self._header.index(self._only[0]), self._only[1]) if self._only else (-1, "")
        records = self._records()
        next(records)
        for line, record in records:
            if len(record) != width:
                if len(record) == 1 and not record[0].strip():
                    continue
                raise self._wrong_width(len(record), line)
            if only_at >= 0 and record[only_at] != only_value:
                continue
            label = group = ""
            if chosen.label is not None:
                label = record[label_at].strip()
                if not label:
                    label_text("", f"{name}, line {line}", chosen.label)
                label = self._renamed.get(label, label)
            if chosen.group is not None:
                group = record[group_at].strip()
                if not group and self._group_needed:
                    raise DataError(
                        f"{name}, line {line}: no group in column '{shown(chosen.group)}'; fill it in, "
                        "or leave out --group-column"
                    )
            yield Row(record[text_at], label, group, line)

    def _wrong_width(self, found: int, line: int) -> DataError:
        mark = {",": "a comma", ";": "a semicolon", "\t": "a tab"}[self._delimiter]
        fault = "too many" if found > len(self._header) else "too few"
        remedy = (
            f"put a text that contains {mark} between double quotes"
            if found > len(self._header)
            else "fill in the missing fields, or put a text that goes over several lines between double quotes"
        )
        if self._quoting == csv.QUOTE_NONE:
            remedy = "replace tabs and line ends inside a text by spaces"
        return DataError(
            f"{self.name}, line {line}: {fault} fields, {found} where the header has {len(self._header)}; {remedy}"
        )

    def _malformed(self, reason: str, start: int, line: int) -> DataError:
        if "unexpected end" in reason or "field larger" in reason:
            return DataError(
                f"{self.name}, line {start}: a double quote in the row that starts here is never closed; "
                f"close it, and double the quotes inside a quoted text (no text may exceed {MAX_TEXT:,} characters)"
            )
        if "new-line character" in reason:
            return DataError(
                f"{self.name}, line {line}: a carriage return inside a field without quotes; "
                "put the field between double quotes, or save the file with line feeds as line ends"
            )
        row = f" (row from line {start})" if start != line else ""
        return DataError(
            f"{self.name}, line {line}{row}: text after a closing double quote ({reason}); "
            'write a quote inside a quoted text twice, as in "a ""quoted"" word"'
        )


def _allow_long_fields() -> None:
    if csv.field_size_limit() < MAX_TEXT:
        csv.field_size_limit(MAX_TEXT)


def _first_quoted(file: BinaryIO) -> int | None:
    """Where the first line begins that has a field that begins with a quote; all others are read alike anyway."""
    at = line = 0
    before = b"\n"  # the file's beginning is a line's
    while block := file.read(_BLOCK):
        block = before + block
        found = _QUOTED.search(block)
        end = block.rfind(b"\n", 0, found.start() + 1 if found else len(block))
        line = at + end if end >= 0 else line
        if found:
            return line
        at += len(block) - 1
        before = block[-1:]
    return None


def _rows(lines: list[str], quoting: _Quoting) -> int:
    """Rows that are read so; 0 if the lines are no table."""
    records = _records_of(lines, quoting)
    return len(records) if records and len({len(record) for record in records}) == 1 else 0


def _records_of(lines: list[str], quoting: Literal[0, 2, 3]) -> list[list[str]] | None:
    """The lines as records; None if they cannot be read so. Of many lines the last may leave a record open.

    That one counts only if it is not much longer yet than those before it: a lone quote has no end.
    """
    reader = csv.reader(lines, delimiter="\t", quoting=quoting, strict=True)
    records: list[list[str]] = []
    done, longest = 0, 1
    try:
        for record in reader:
            records.append(record)
            longest, done = max(longest, reader.line_num - done), reader.line_num
    except ValueError:  # no number where QUOTE_NONNUMERIC asks for one
        return None
    except csv.Error:
        cut_off = reader.line_num == len(lines) >= _PEEK_LINES and len(lines) - done <= 10 * longest
        return records if cut_off else None
    return records
