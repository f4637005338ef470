"""Fixtures of the reading tests: a file from bytes, a whole source as lists, and a small official archive."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from throughtime.text.reading import Source, imdb

Write = Callable[[str, bytes | str], str]


class Rows(NamedTuple):
    """All of a source."""

    texts: list[str]
    labels: list[str] | None
    groups: list[str] | None
    places: list[str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(name, content) → path of a new file."""

    def write_file(name: str, content: bytes | str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write_file


@pytest.fixture(scope="session")
def everything() -> Callable[..., Rows]:
    """everything(source, batch_size=…) → all its rows; batches are checked to be whole and to follow each other."""

    def read(source: Source, batch_size: int = 1024) -> Rows:
        rows = Rows([], [], [], [])
        for batch in source.rows(batch_size):
            assert 1 <= len(batch.texts) <= batch_size
            assert batch.first_row == len(rows.texts)
            rows.texts.extend(batch.texts)
            rows.places.extend(map(batch.where, range(len(batch))))
            for kept, given in ((rows.labels, batch.labels), (rows.groups, batch.groups)):
                if given is not None:
                    assert kept is not None
                    assert len(given) == len(batch)
                    kept.extend(given)
        return Rows(rows.texts, rows.labels or None, rows.groups or None, rows.places)

    return read


REVIEWS = {
    "train/urls_neg.txt": "".join(f"http://www.imdb.com/title/tt{n:07}/usercomments\n" for n in (1, 1, 2)),
    "train/urls_pos.txt": "".join(f"http://www.imdb.com/title/tt{n:07}/usercomments\n" for n in (3, 2)),
    "train/neg/0_2.txt": "Bad.<br /><br />Bad.",
    "train/neg/2_1.txt": "Worse",
    "train/neg/1_4.txt": "Not good",
    "train/pos/0_9.txt": "Très good",
    "train/pos/1_8.txt": "Good",
    "train/unsup/0_0.txt": "Unrated",
    "train/labeledBow.feat": "9 0:1",
    "test/neg/0_3.txt": "A test",
    "test/pos/0_10.txt": "Another test",
    "README": "Large Movie Review Dataset v1.0",
}


@pytest.fixture
def acl_imdb(tmp_path: Path) -> Path:
    """A small folder laid out as the official archive unpacks."""
    root = tmp_path / "aclImdb"
    for name, content in REVIEWS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small archive laid out as the official one, whose checksum is taken for the official one's."""
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in reversed(REVIEWS.items()):
            entry = tarfile.TarInfo(f"aclImdb/{name}")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    monkeypatch.setattr(imdb, "CHECKSUM", hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    yield path
