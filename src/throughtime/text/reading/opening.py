"""From what the user gave as DATA to a source."""

from pathlib import Path
from typing import Final

from throughtime.spec.errors import DataError
from throughtime.text.reading.delimited import DelimitedSource
from throughtime.text.reading.files import refusing, require_file, shown, shown_path
from throughtime.text.reading.folder import FolderSource
from throughtime.text.reading.imdb import ImdbArchive, open_imdb
from throughtime.text.reading.json_lines import JsonLinesSource
from throughtime.text.reading.source import GUESSED, Columns, Source

ENDINGS: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".tar.gz", ".tgz")
"""Of the files that `open_source` reads, in small letters."""
_SHEETS: Final = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".tar")


def open_source(
    data: str,
    columns: Columns = GUESSED,
    *,
    labelled: bool = True,
    download: bool = False,
) -> Source:
    """Opens labelled texts.

    Args:
        data: a folder with a folder a class (`aclImdb/`, `aclImdb/test` and the like are recognised, unsup is never a
            class); a .csv, .tsv, .jsonl, .ndjson or .parquet file; the official archive aclImdb_v1.tar.gz; or `imdb`,
            the data set (see `throughtime.text.reading.imdb`). A file or folder called imdb is given as ./imdb.
        columns: columns to use; text and label are guessed where that is plain.
        labelled: whether labels are needed. If not, only a label column that was named is read.
        download: whether `imdb` may be fetched from the network where it is not on this machine.

    Raises:
        DataError: nothing there, a format that is not known, or columns that are not there.
    """
    if data == "imdb":
        return open_imdb(columns, labelled=labelled, download=download)
    path = Path(data)
    name = shown_path(path)
    if path.is_dir():
        return FolderSource(path, columns, labelled=labelled)
    require_file(path, name)
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return DelimitedSource(path, columns, labelled=labelled, tabs=suffix == ".tsv")
    if suffix in (".jsonl", ".ndjson"):
        return JsonLinesSource(path, columns, labelled=labelled)
    if suffix == ".parquet":
        # Its library takes a while to load and is not installed everywhere.
        from throughtime.text.reading.parquet import ParquetSource

        return ParquetSource(path, columns, labelled=labelled)
    if path.name.lower().endswith((".tar.gz", ".tgz")):
        return ImdbArchive(path, columns, labelled=labelled)
    if suffix in _PACKED:
        raise DataError(f"{name}: packed ('{shown(path.suffix)}'), and a file is read more than once; unpack it first")
    if suffix == ".json" or suffix in _SHEETS:
        remedy = "save the sheet as CSV (UTF-8)" if suffix in _SHEETS else _remedy_for_json(path, name)
        raise DataError(f"{name}: a format that is not read ('{shown(path.suffix)}'); {remedy}")
    raise DataError(
        f"{name}: a format that is not known ('{shown(path.suffix)}'); give a folder with a folder a class, "
        "or a .csv, .tsv, .jsonl or .parquet file (if it is one of them, rename it)"
    )


def _remedy_for_json(path: Path, name: str) -> str:
    with refusing(name), path.open("rb") as file:
        array = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    if array:
        return "of its array write one object a line and name it .jsonl (jq -c '.[]' FILE > FILE.jsonl)"
    return "if it holds one object a line, rename it to .jsonl"
