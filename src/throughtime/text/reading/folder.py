"""A folder a class: every file in it is one text."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.files import combined, digest, read_text, refusing, shown, shown_path
from throughtime.text.reading.movies import movie_of, parse_movies
from throughtime.text.reading.source import Columns
from throughtime.text.reading.table import Row, TableSource

_SPLITS: Final = {"train", "test", "val", "valid", "validation", "dev", "unsup"}
"""Folders beside `train` that say it is a split, not a class."""
_WORD: Final = re.compile("[a-z]+")
_TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


class FolderSource(TableSource):
    """FOLDER/CLASS/FILE, files of a class at any depth; names that start with a dot are passed over.

    A folder with `train/` beside other splits (as `aclImdb/`) stands for its train/. In a split of aclImdb, recognised
    by its pos/ and neg/, `unsup/` is no class, and the group of a review is its movie, which urls_*.txt name.
    """

    def __init__(self, path: Path, columns: Columns, *, labelled: bool) -> None:
        """Lists the classes.

        Raises:
            DataError: there is no folder a class, or a class without files, or a column was named; or the folders are
                parts of one data set.
        """
        named = [option for option in ("text", "label") if getattr(columns, option) is not None]
        name = shown_path(path)
        if named:
            raise DataError(f"{name}: a folder has no columns; leave out --{named[0]}-column, or give a file")
        root = path
        inside = _folders(root)
        if "train" in inside and set(inside) <= _SPLITS and _folders(root / "train"):
            root = root / "train"
            inside = _folders(root)
        self._root = root
        self.is_imdb = {"pos", "neg"} <= set(inside) <= {"pos", "neg", "unsup"}
        self._classes = [label for label in inside if not (self.is_imdb and label == "unsup")]
        if not self._classes:
            raise _no_classes(root)
        if labelled and _are_splits(root, self._classes):
            parts, first = ", ".join(map(_quoted, self._classes)), shown_path(root / _training(self._classes))
            raise DataError(
                f"{name}: its folders {parts} are parts of one data set, no classes: they hold the same folders and no "
                f"files; give one as DATA ({first}) and the other to --test"
            )
        movies_known = self.is_imdb and all((root / f"urls_{label}.txt").is_file() for label in self._classes)
        if columns.group is not None and not (movies_known and columns.group == "movie"):
            raise DataError(
                f"{name}: a folder has no column '{shown(columns.group)}'; leave out --group-column, or give a file"
            )
        super().__init__(shown_path(root), labelled=labelled, grouped=movies_known)

    def fingerprint(self) -> str:
        """See Source."""
        parts = [
            (label, name, digest(path, shown_path(path), ()))
            for label in self._classes
            for name, path in self._files(label)
        ]
        return combined("folder", 1, self.labelled, self.grouped, parts, self._movies() if self.grouped else {})

    def _kind(self, labels: set[str]) -> LabelKind:
        return "str"

    def _movies(self) -> dict[str, list[str]]:
        return {
            label: parse_movies(read_text(path), shown_path(path))
            for label in self._classes
            for path in [self._root / f"urls_{label}.txt"]
        }

    def _read(self) -> Iterator[Row]:
        movies = self._movies() if self.grouped else {}
        for label in self._classes:
            for name, path in self._files(label):
                where = shown_path(path)
                group = movie_of(name, movies[label], where) if self.grouped else ""
                yield Row(read_text(path), label, group, path=where)

    def _files(self, label: str) -> Iterator[tuple[str, Path]]:
        """Name below the class's folder and path of each of its files, in order of names."""
        top = self._root / label
        some = False

        def failed(error: OSError) -> None:
            raise error

        with refusing(shown_path(top)):
            for folder, folders, names in os.walk(top, onerror=failed, followlinks=True):
                folders[:] = sorted(entry for entry in folders if not entry.startswith("."))
                for name in sorted(names):
                    if not name.startswith("."):
                        some = True
                        path = Path(folder) / name
                        yield path.relative_to(top).as_posix(), path
        if not some:
            raise DataError(
                f"{shown_path(top)}: a class without files; put its texts into it, one a file, or remove the folder"
            )


def _words(name: str) -> set[str]:
    return set(_WORD.findall(name.lower()))


def _training(names: list[str]) -> str:
    return next((name for name in names if "train" in _words(name)), names[0])


def _are_splits(root: Path, names: list[str]) -> bool:
    """Whether these are no classes, but `some-train/` beside `some-test/`: the same folders in each, and no text."""
    if len(names) < 2 or not all(_words(name) & _SPLITS for name in names) or "train" not in _words(_training(names)):
        return False
    inside = [_folders(root / name) for name in names]
    with refusing(shown_path(root)):
        files = any(entry.is_file() for name in names for entry in (root / name).iterdir())
    return not files and len(inside[0]) > 1 and all(folders == inside[0] for folders in inside)


def _quoted(name: str) -> str:
    return f"'{shown(name)}'"


def _folders(path: Path) -> list[str]:
    with refusing(shown_path(path)):
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _no_classes(path: Path) -> DataError:
    name = shown_path(path)
    with refusing(name):
        tables = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in _TABLES)
    if tables:
        return DataError(
            f"{name}: no folder a class in it, but tables; give one, for instance {shown_path(path / tables[0])}"
        )
    return DataError(
        f"{name}: no folder a class in it; put each class's texts into a folder of its name, one text a file"
    )
