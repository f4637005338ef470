"""Every way in which DATA cannot be used ends in one line with the file, the line and the remedy."""

import os
from pathlib import Path
from typing import Any

import pytest

from throughtime.spec.errors import DataError, OptionError
from throughtime.text.reading import Columns, open_source

HEAD = "text,label\nfine,1\n"


def classes(number: int) -> str:
    return "text,label\n" + "".join(f"t,l{i}\n" for i in range(number))


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.csv", "", ["a.csv: the file is empty", "at least one row"]),
        ("a.tsv", "", ["a.tsv: the file is empty"]),
        ("a.jsonl", "", ["a.jsonl: the file is empty"]),
        ("a.parquet", "", ["a.parquet: the file is empty"]),
        ("a.csv", "\n\n", ["a.csv: no header; the first line must name the columns"]),
        ("a.csv", "text,label\n", ["a.csv: holds no rows"]),
        ("a.tsv", "text\tlabel\n\n", ["a.tsv: holds no rows"]),
        ("a.jsonl", "\n \n", ["a.jsonl: holds no rows"]),
        ("a.csv", HEAD + "a, b,1\n", ["a.csv, line 3: too many fields, 3 where the header has 2", "double quotes"]),
        ("a.csv", HEAD + "only a text\n", ["a.csv, line 3: too few fields, 1 where the header has 2", "fill in"]),
        ("a.csv", "text;label\nx;1\na;b;c\n", ["a.csv, line 3: too many fields", "contains a semicolon"]),
        ("a.tsv", "text\tlabel\nx\t1\na\tb\tc\n", ["a.tsv, line 3: too many fields", "contains a tab"]),
        (
            "a.tsv",
            'text\tlabel\n"x" y\t1\n' + "a\t1\n" * 2000 + "a\tb\tc\n",
            ["a.tsv, line 2003: too many fields", "replace tabs"],
        ),
        ("a.csv", HEAD + "x,\n", ["a.csv, line 3: no label in column 'label'", "label this row or remove it"]),
        ("a.csv", HEAD + "x, \t\n", ["a.csv, line 3: no label in column 'label'"]),
        ("a.csv", HEAD + '"x,1\ny,1\n', ["a.csv, line 3: a double quote", "never closed; close it"]),
        (
            "a.csv",
            HEAD + '"two\nlines" more,1\n',
            ["a.csv, line 4 (row from line 3): text after a closing double quote", "twice"],
        ),
        ("a.csv", HEAD + "x\ry,1\n", ["a.csv, line 3: a carriage return inside a field without quotes"]),
        ("a.csv", HEAD.encode() + b"na\xefve,1\n", ["a.csv, line 3: invalid UTF-8 (byte 0xEF", "iconv"]),
        ("a.csv", HEAD + '"two\nli\0nes",1\n', ["a.csv, line 4: a NUL byte"]),
        ("a.csv", HEAD.encode("utf-16"), ["a.csv, line 1: not UTF-8 but UTF-16"]),
        ("a.tsv", b"text\tlabel\nna\xefve\t1\n", ["a.tsv, line 2: invalid UTF-8"]),
        ("a.jsonl", b'{"text": "x", "label": 1}\n{"text": "\xff", "label": 1}\n', ["a.jsonl, line 2: invalid UTF-8"]),
        ("a.jsonl", b'{"text": "x", "label": 1}\n{"text": "\0", "label": 1}\n', ["a.jsonl, line 2: a NUL byte"]),
        ("a.jsonl", "[\n", ["a.jsonl, line 1: invalid JSON"]),
        ("a.xlsx", "PK", ["a.xlsx: a format that is not read ('.xlsx')", "save the sheet as CSV"]),
        ("a.json", ' [{"text": 1}]', ["a.json: a format that is not read ('.json')", "of its array write one object"]),
        ("a.json", '{"text": 1}', ["a.json: a format that is not read ('.json')", "rename it to .jsonl"]),
        ("a.csv", "sep=|\ntext|label\nx|y\n", ["a.csv: '|' between the columns", "not read; write commas"]),
        ("a.doc", "x", ["a.doc: a format that is not known ('.doc')", ".csv, .tsv, .jsonl or .parquet"]),
        ("a.csv", "sep=;\ntext;label\nx\n", ["a.csv, line 3: too few fields, 1 where the header has 2"]),
        ("noend", "x", ["noend: a format that is not known ('')"]),
        ("a.tar.gz", "x", ["a.tar.gz: not the official aclImdb_v1.tar.gz"]),
        ("a.csv", classes(1001), ["1,001 different labels", "--label-column"]),
        ("a.csv", classes(101), ["101 different labels in 101 rows"]),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_place_and_remedy(
    name: str, content: str | bytes, parts: list[str], write: Any, everything: Any
) -> None:
    path = write(name, content)
    with pytest.raises(DataError) as caught:
        everything(open_source(path))
    message = str(caught.value)
    assert message.startswith(str(Path(path).parent))
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_what_is_not_there_is_said_with_the_folder_it_was_looked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        open_source("reviews.csv")
    assert str(caught.value).startswith("reviews.csv: no such file or folder; check the path")
    assert str(tmp_path) in str(caught.value)


def test_a_pipe_is_refused_for_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"a\.csv: not a regular file; save the data to a file first"):
        open_source(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_missing_column_lists_those_there_are(name: str, write: Any) -> None:
    separator = "\t" if name == "a.tsv" else ","
    content = '{"text": "x", "label": 1}\n' if name == "a.jsonl" else f"text{separator}label\nx{separator}1\n"
    with pytest.raises(
        DataError, match=r"a\.\w+: no column 'review'; its columns are 'text', 'label': .*--text-column"
    ):
        open_source(write(name, content), Columns(text="review"))


def test_a_file_whose_name_cannot_be_printed_is_named_on_one_line(write: Any) -> None:
    path = write("odd\nname.csv", "")
    with pytest.raises(DataError) as caught:
        open_source(path)
    assert r"odd\nname.csv: the file is empty" in str(caught.value)


def test_batches_of_no_rows_are_refused_at_once(write: Any) -> None:
    with pytest.raises(OptionError, match="batch_size must be at least 1, but is 0"):
        open_source(write("a.csv", HEAD)).rows(batch_size=0)


def test_a_file_that_goes_away_between_two_readings_is_named(write: Any, everything: Any) -> None:
    path = write("a.csv", HEAD)
    source = open_source(path)
    everything(source)
    Path(path).unlink()
    for use in (everything, lambda source: source.fingerprint()):
        with pytest.raises(DataError, match=r"a\.csv: cannot be read \(No such file or directory\)"):
            use(source)
