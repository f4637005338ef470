"""Whatever texts and labels are written in a format, the same are read back, in the same order, every time."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from throughtime.text.reading import Columns, open_source

# A lone surrogate is no Unicode text: only JSON's escapes can hold one. NUL is refused where text files are read.
SURROGATES: Final[tuple[Literal["Cs"]]] = ("Cs",)
PLAIN = st.characters(exclude_categories=SURROGATES, exclude_characters="\0")
TROUBLE = st.sampled_from(
    ['"', '""', ",", "\t", ";", "\n", "\r", "\r\n", "\ufeff", "\u2028", "\x85", "\x0b", "\\", "<br />"]
)
TEXTS = st.lists(st.one_of(PLAIN, TROUBLE), max_size=12).map("".join)
LABELS = st.text(PLAIN, min_size=1, max_size=6).map(str.strip).filter(bool)
BATCH_SIZES = st.integers(1, 7)

WriteRows = Callable[[Path, list[tuple[str, str, str]]], None]


def rows_of(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    return st.lists(st.tuples(texts, LABELS, LABELS), min_size=1, max_size=12)


def write_delimited(path: Path, rows: list[tuple[str, str, str]], delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([("text", "label", "by"), *rows])


def write_json(path: Path, rows: list[tuple[str, str, str]], ascii_only: bool) -> None:
    lines = [json.dumps(dict(zip(("text", "label", "by"), row, strict=True)), ensure_ascii=ascii_only) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")


def write_parquet(path: Path, rows: list[tuple[str, str, str]]) -> None:
    texts, labels, groups = map(list, zip(*rows, strict=True))
    pq.write_table(pa.table({"by": groups, "text": texts, "label": labels}), path, row_group_size=5)


def read_back(name: str, rows: list[tuple[str, str, str]], write: WriteRows, batch_size: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path, rows)
        source = open_source(str(path), Columns(group="by"))
        for _ in range(2):
            batches = list(source.rows(batch_size))
            found = [
                row
                for batch in batches
                for row in zip(batch.texts, batch.labels or [], batch.groups or [], strict=True)
            ]
            assert found == rows
            assert [batch.first_row for batch in batches] == list(range(0, len(rows), batch_size))
        assert source.fingerprint() == open_source(str(path), Columns(group="by")).fingerprint()


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t")])
@settings(max_examples=50)
@given(rows=rows_of(TEXTS), batch_size=BATCH_SIZES)
def test_csv_and_tsv(name: str, delimiter: str, rows: list[tuple[str, str, str]], batch_size: int) -> None:
    read_back(name, rows, lambda path, rows: write_delimited(path, rows, delimiter), batch_size)


@settings(max_examples=50)
@given(rows=rows_of(st.text(st.characters())), batch_size=BATCH_SIZES)
def test_json_lines_in_ascii(rows: list[tuple[str, str, str]], batch_size: int) -> None:
    read_back("a.jsonl", rows, lambda path, rows: write_json(path, rows, True), batch_size)


@settings(max_examples=50)
@given(rows=rows_of(TEXTS), batch_size=BATCH_SIZES)
def test_json_lines_in_utf8(rows: list[tuple[str, str, str]], batch_size: int) -> None:
    read_back("a.jsonl", rows, lambda path, rows: write_json(path, rows, False), batch_size)


@settings(max_examples=50)
@given(rows=rows_of(st.one_of(TEXTS, st.text(st.characters(exclude_categories=SURROGATES)))), batch_size=BATCH_SIZES)
def test_parquet(rows: list[tuple[str, str, str]], batch_size: int) -> None:
    read_back("a.parquet", rows, write_parquet, batch_size)


@settings(max_examples=50)
@given(texts=st.lists(TEXTS.filter(lambda text: not text.startswith("\ufeff")), min_size=1, max_size=8))
def test_folders(texts: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for number, text in enumerate(texts):
            path = Path(folder) / f"class {number % 2}" / f"{number}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        found: dict[str, Any] = {"class 0": [], "class 1": []}
        for batch in open_source(folder).rows(3):
            for text, label in zip(batch.texts, batch.labels or [], strict=True):
                found[label].append(text)
        assert found == {"class 0": texts[0::2], "class 1": texts[1::2]}


@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.parquet"]))
def test_any_bytes_are_read_or_refused_but_never_crash(content: bytes, name: str) -> None:
    head = {
        "a.csv": b"text,label\n",
        "a.tsv": b"text\tlabel\n",
        "a.jsonl": b'{"text":"a","label":"b"}\n',
        "a.parquet": b"",
    }
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(head[name] + content)
        try:
            rows = sum(len(batch) for batch in open_source(str(path)).rows())
        except ValueError as error:
            assert type(error).__name__ == "DataError"
            assert str(error).startswith(folder)
            assert "\n" not in str(error)
        else:
            assert rows >= 1
