"""The cache: a second run only maps it, a killed build leaves none, damage is found, a full disk is named."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from throughtime.spec.errors import DataError, OutputError
from throughtime.spec.model import PreprocessingConfig
from throughtime.text import cache
from throughtime.text import corpus as building
from throughtime.text.batching import collate
from throughtime.text.corpus import Corpus, build_corpus
from throughtime.text.lists import ListSource
from throughtime.text.splitting import TRAIN
from throughtime.text.tokenizing import TokenizerOptions

TEXTS = [f"film number {row} is {'good' if row % 2 else 'bad'}" for row in range(60)]
LABELS = ["pos" if row % 2 else "neg" for row in range(60)]


def built(folder: Path, texts: list[str] = TEXTS, **options: Any) -> Corpus:
    merged: dict[str, Any] = {
        "tokenizer": TokenizerOptions(min_count=1),
        "preprocessing": PreprocessingConfig(max_tokens=8, cut="head"),
        "cache_dir": folder,
    } | options
    return build_corpus(ListSource(texts, LABELS), **merged)


def forbid(*_: object, **__: object) -> NoReturn:
    raise AssertionError("the corpus was built again")


def same(one: Corpus, other: Corpus) -> bool:
    arrays = ("ids", "offsets", "labels", "split", "counts", "lengths")
    values = ("classes", "label_kind", "prior", "tokenizer_json", "facts", "key")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays) and all(
        getattr(one, name) == getattr(other, name) for name in values
    )


def test_a_second_run_neither_reads_nor_tokenises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = built(tmp_path)
    for name in ("index_rows", "train_tokenizer", "TextEncoder", "split"):
        monkeypatch.setattr(building, name, forbid)
    monkeypatch.setattr(ListSource, "rows", forbid)
    assert same(built(tmp_path), first)
    assert [folder.name for folder in tmp_path.iterdir()] == [first.key]


def test_ids_are_mapped_and_pages_can_be_given_back(tmp_path: Path) -> None:
    corpus = built(tmp_path)
    assert corpus.mapping is not None
    assert not corpus.ids.flags.writeable
    before = corpus.ids.copy()
    for _ in range(100):
        collate(corpus, corpus.rows(TRAIN))
    corpus.release(10**6)
    assert (corpus.ids == before).all()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"validation_fraction": 0.2},
        {"tokenizer": TokenizerOptions(min_count=2)},
        {"tokenizer": TokenizerOptions(min_count=1, lowercase=False)},
        {"preprocessing": PreprocessingConfig(max_tokens=8, cut="tail")},
        {"texts": [*TEXTS[:-1], "another text"]},
        {"validation": ListSource(TEXTS[:2], LABELS[:2])},
    ],
)
def test_whatever_changes_the_corpus_changes_its_key(tmp_path: Path, change: dict[str, Any]) -> None:
    assert built(tmp_path).key != built(tmp_path, **change).key
    assert len(list(tmp_path.iterdir())) == 2


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


@pytest.mark.parametrize("name", ["ids.bin", "arrays.npz", "tokenizer.json", "corpus.json"])
@pytest.mark.parametrize("damage", [flip_a_byte, cut_off, Path.unlink])
def test_a_damaged_cache_is_built_again(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    first = built(tmp_path)
    ids, key = first.ids.copy(), first.key
    damage(tmp_path / key / name)
    assert cache.read_corpus(tmp_path / key) is None
    again = built(tmp_path)
    assert (again.ids == ids).all()
    assert cache.read_corpus(tmp_path / key) is not None


@pytest.mark.parametrize("stage", ["reading", "counting tokens", "encoding"])
def test_what_changed_while_it_was_read_is_not_kept(tmp_path: Path, stage: str) -> None:
    """As many rows as before, so that nothing else tells."""
    texts = list(TEXTS)

    def rewrite(at: str, done: int, total: int | None) -> None:
        if at == stage:
            texts[1] = "another film"

    with pytest.raises(DataError, match="data: its rows changed while it was read; start again"):
        built(tmp_path, texts, progress=rewrite)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damaged", [False, True])
def test_a_corpus_that_another_process_has_built_meanwhile_stays(tmp_path: Path, damaged: bool) -> None:
    key = built(tmp_path / "alone").key
    kept: list[int] = []

    def overtaken(stage: str, done: int, total: int | None) -> None:
        if stage == "encoding" and not kept:
            built(tmp_path / "cache")
            if damaged:
                flip_a_byte(tmp_path / "cache" / key / cache.IDS)
            kept.append((tmp_path / "cache" / key).stat().st_ino)

    corpus = built(tmp_path / "cache", progress=overtaken)
    assert same(corpus, built(tmp_path / "alone"))
    assert ((tmp_path / "cache" / key).stat().st_ino == kept[0]) != damaged
    assert [folder.name for folder in (tmp_path / "cache").iterdir()] == [key]


def test_a_process_waits_for_one_that_puts_its_corpus_there(tmp_path: Path) -> None:
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    encoding = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        corpus = pool.submit(
            built, tmp_path, progress=lambda stage, *_: encoding.set() if stage == "encoding" else None
        )
        assert encoding.wait(60)
        with pytest.raises(TimeoutError):
            corpus.result(timeout=0.5)
        assert all(folder.name.startswith(".unfinished-") for folder in tmp_path.iterdir())
        os.close(holder)
        assert (tmp_path / corpus.result(timeout=60).key).is_dir()


def test_where_there_are_no_locks_the_faster_process_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = built(tmp_path / "other")
    rename = Path.rename

    def late(unfinished: Path, folder: Path) -> Path:
        shutil.copytree(tmp_path / "other" / first.key, folder)
        return rename(unfinished, folder)

    monkeypatch.setattr(Path, "rename", late)
    assert same(built(tmp_path / "cache"), first)
    assert [folder.name for folder in (tmp_path / "cache").iterdir()] == [first.key]


@pytest.mark.parametrize("stage", ["reading", "counting tokens", "encoding"])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, stage: str) -> None:
    def interrupt(at: str, done: int, total: int | None) -> None:
        if at == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        built(tmp_path, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from throughtime.spec.model import PreprocessingConfig
from throughtime.text import cache, corpus
from throughtime.text.lists import ListSource
from throughtime.text.tokenizing import TokenizerOptions

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[2] == "writing":
    cache._digest = kill
corpus.build_corpus(
    ListSource(["good film", "bad film"] * 30, ["pos", "neg"] * 30),
    tokenizer=TokenizerOptions(),
    preprocessing=PreprocessingConfig(max_tokens=8, cut="head"),
    validation_fraction=0.0,
    cache_dir=Path(sys.argv[1]),
    progress=lambda stage, done, total: kill() if stage == sys.argv[2] else None,
)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which this system does not have")
@pytest.mark.parametrize("stage", ["encoding", "writing"])
def test_a_killed_build_leaves_no_half_cache_and_is_swept_later(tmp_path: Path, stage: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), stage], check=False)
    assert done.returncode == -signal.SIGKILL
    left = list(tmp_path.iterdir())
    assert [folder.name.startswith(".unfinished-") for folder in left] == [True]
    first = built(tmp_path)
    assert {folder.name for folder in tmp_path.iterdir()} == {first.key, left[0].name}
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(left[0], (long_ago, long_ago))
    other = built(tmp_path, seed=1)
    assert {folder.name for folder in tmp_path.iterdir()} == {first.key, other.key}


def test_a_full_disk_is_named_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OutputError, match=r"cannot write .*: the disk is full"):
        built(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which this system does not have")
def test_a_disk_that_fills_while_ids_are_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def onto_full_disk(path: Path, mode: str = "r", *options: Any, **more: Any) -> Any:
        return opened(Path("/dev/full") if path.name == cache.IDS and "w" in mode else path, mode, *options, **more)

    monkeypatch.setattr(Path, "open", onto_full_disk)
    with pytest.raises(OutputError, match="the disk is full: make room"):
        built(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*THROUGHTIME_CACHE=DIR puts elsewhere"):
        built(tmp_path / "file")


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHTIME_CACHE", str(tmp_path / "one"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    assert (tmp_path / "one" / built(None).key).is_dir()  # type: ignore[arg-type]
    monkeypatch.delenv("THROUGHTIME_CACHE")
    assert cache.cache_root() == tmp_path / "two" / "throughtime"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / ".cache" / "throughtime"
