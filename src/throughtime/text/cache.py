"""The cache of encoded corpora: one folder each, named by what it was made from, there whole or not at all."""

import contextlib
import errno
import fcntl
import hashlib
import json
import mmap
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.atomic import output_error
from throughtime.spec.errors import OutputError
from throughtime.spec.model import LabelKind
from throughtime.text.encoded import Corpus

FORMAT: Final = 2
"""Raised whenever equal inputs would give another corpus or another layout; old folders are then not found any more."""
IDS: Final = "ids.bin"
"""Token ids of all rows, int32, the machine's byte order."""

_SUMMARY: Final = "corpus.json"
_ARRAYS: Final = "arrays.npz"
_TOKENIZER: Final = "tokenizer.json"
_LEFT_BEHIND: Final = 24 * 3600.0
"""Seconds after which an unfinished folder is nobody's."""


@dataclass(frozen=True)
class CorpusParts:
    """Everything of a Corpus but its token ids; the fields are those of `Corpus`."""

    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]
    split: NDArray[np.int8]
    counts: NDArray[np.int64]
    classes: tuple[str, ...]
    label_kind: LabelKind
    prior: tuple[float, ...]
    tokenizer_json: str
    facts: dict[str, Any]
    key: str

    def corpus(self, ids: NDArray[np.int32], mapping: mmap.mmap | None = None) -> Corpus:
        return Corpus(
            ids=ids,
            offsets=self.offsets,
            labels=self.labels,
            split=self.split,
            classes=self.classes,
            label_kind=self.label_kind,
            prior=self.prior,
            tokenizer_json=self.tokenizer_json,
            counts=self.counts,
            facts=self.facts,
            key=self.key,
            mapping=mapping,
        )


def cache_root() -> Path:
    """$THROUGHTIME_CACHE, else $XDG_CACHE_HOME/throughtime, else ~/.cache/throughtime."""
    if chosen := os.environ.get("THROUGHTIME_CACHE"):
        return Path(chosen)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "throughtime"
    return Path.home() / ".cache" / "throughtime"


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` when the block ends, and vanishes if the block raises.

    A whole corpus that stands there by then, of another process that was faster, stays: its content is the same.
    Unfinished folders that killed processes left more than a day ago go too.

    Raises:
        OutputError: it cannot be written; names the folder and the remedy.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(error, folder) from error
    try:
        yield unfinished
        with _alone_in(folder.parent):
            if read_corpus(folder) is None:
                _replace(folder, unfinished)
    except OSError as error:
        raise _unwritable(error, folder) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    """Waits for processes that put a folder into `root`, so that none takes away what another has just put there.

    Where the file system has no locks, `_replace` is left to luck.
    """
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(folder: Path, unfinished: Path) -> None:
    """Gives `unfinished` the name of `folder`, whose content, if there is any, is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unfinished.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another process was faster: the caller reads what it has put there.


def _unwritable(error: OSError, folder: Path) -> OutputError:
    what = "this is the cache of tokenised texts, which THROUGHTIME_CACHE=DIR puts elsewhere"
    return OutputError(f"{output_error(error, folder)} ({what})")


def write_corpus(folder: Path, parts: CorpusParts) -> None:
    """Writes all but the ids, which are there already, into `folder`; the summary, which vouches for the rest, last."""
    with (folder / _ARRAYS).open("wb") as stream:
        np.savez(stream, offsets=parts.offsets, labels=parts.labels, split=parts.split, counts=parts.counts)
    (folder / _TOKENIZER).write_text(parts.tokenizer_json, encoding="utf-8")
    summary = {
        "format": FORMAT,
        "key": parts.key,
        "classes": parts.classes,
        "label_kind": parts.label_kind,
        "prior": parts.prior,
        "facts": parts.facts,
        "checksums": {name: _checksum(folder / name) for name in (IDS, _ARRAYS, _TOKENIZER)},
    }
    text = json.dumps(summary, ensure_ascii=False)
    (folder / _SUMMARY).write_text(f"{_digest(text)}\n{text}\n", encoding="utf-8")


def read_corpus(folder: Path) -> Corpus | None:
    """The corpus of this folder, its ids mapped, not read; None where there is none, or where a byte is damaged."""
    try:
        # Cut at line feeds alone: JSON leaves other ends of lines, such as U+2028, as they are in a label.
        digest, text, _ = (folder / _SUMMARY).read_text(encoding="utf-8").split("\n")
        if digest != _digest(text):
            return None
        summary = json.loads(text)
        if any(_checksum(folder / name) != value for name, value in summary["checksums"].items()):
            return None
        with np.load(folder / _ARRAYS) as arrays:
            parts = CorpusParts(
                offsets=arrays["offsets"],
                labels=arrays["labels"],
                split=arrays["split"],
                counts=arrays["counts"],
                classes=tuple(summary["classes"]),
                label_kind=summary["label_kind"],
                prior=tuple(summary["prior"]),
                tokenizer_json=(folder / _TOKENIZER).read_text(encoding="utf-8"),
                facts=summary["facts"],
                key=summary["key"],
            )
        with (folder / IDS).open("rb") as stream:
            mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    return parts.corpus(np.frombuffer(mapping, dtype=np.int32), mapping)


def _sweep(root: Path) -> None:
    for folder in root.glob(".unfinished-*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _LEFT_BEHIND:
                shutil.rmtree(folder, ignore_errors=True)


def _checksum(path: Path) -> str:
    """Bytes and CRC-32: chance damage is found at the speed of the disk."""
    crc = size = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            crc = zlib.crc32(block, crc)
            size += len(block)
    return f"{size}-{crc:08x}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
