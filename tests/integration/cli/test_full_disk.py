"""A disk that fills up while the cache, the run's state or the model is written: one line, and nothing half-written.

Two ways: the system's limit on the size of a file (a real error of a real write), and "no space left" raised where a
file system reports it late, when what was written is brought to the disk.
"""

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., Any]
Rows = list[tuple[str, str]]


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes; Python turns the signal into an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """full(part, after): the disk is full for files with `part` in their path, after so many of them."""
    sync = os.fsync

    def fill(part: str, after: int = 0) -> None:
        seen = 0

        def late(descriptor: int) -> None:
            nonlocal seen
            if part in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                seen += 1
                if seen > after:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", late)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc/self/fd to tell which file is written, which this system does not have")
    return fill


def test_the_cache_is_too_large(
    train: Run, rows: Rows, write: Callable[..., Path], tmp_path: Path, own_cache: Path
) -> None:
    data = write(tmp_path / "data.csv", rows * 100)
    with files_at_most(20_000):
        message = train(data).refusal_after_progress()
    assert message.startswith(f"cannot write {own_cache}")
    assert "the file would be larger than is allowed here: raise the limit, or write to another disk" in message
    assert message.endswith("THROUGHTIME_CACHE=DIR puts elsewhere)")
    assert (left(tmp_path), left(own_cache)) == (["data.csv"], [])
    assert train(data).code == 0


def test_the_disk_of_the_cache_is_full(
    train: Run, data: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", no_space)
        message = train(data).refusal_after_progress()
    assert message.startswith(f"cannot write {own_cache}")
    assert "the disk is full: make room, or write to another disk" in message
    assert message.endswith("THROUGHTIME_CACHE=DIR puts elsewhere)")
    assert (left(data.parent), left(own_cache)) == (["data.csv"], [])


def test_the_state_is_too_large(train: Run, data: Path, tmp_path: Path) -> None:
    """No state was saved yet, so there is nothing to go on with, and nothing stays; not in the system's temporary
    folder either.
    """
    large = ["--set", "encoder.embedding_size=200"]
    assert train(data, *large, out=tmp_path / "sized").code == 0
    model = sum(file.stat().st_size for file in (tmp_path / "sized").iterdir())
    before = left(tmp_path)
    with files_at_most(model + 10_000):
        message = train(data, *large, out=tmp_path / "deep" / "model").refusal_after_progress()
    assert message.startswith(
        f"cannot write {tmp_path / 'deep' / 'model' / '.training' / 'state.ckpt'}: the file would"
    )
    assert left(tmp_path) == before


def test_the_disk_is_full_at_the_first_state(train: Run, data: Path, full: Callable[..., None]) -> None:
    full("state.ckpt")
    message = train(data).refusal_after_progress()
    assert message.startswith("cannot write ")
    assert message.endswith("state.ckpt: the disk is full: make room, or write to another disk")
    assert left(data.parent) == ["data.csv"]


def test_the_disk_is_full_at_a_later_state(
    train: Run, data: Path, full: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("throughtime.text.training.callbacks.SAVE_EPOCHS_EVERY_SECONDS", 0.0)
    full("state.ckpt", after=1)
    assert train(data).refusal_after_progress().endswith("the disk is full: make room, or write to another disk")
    state = ["model/.training", "model/.training/run.json", "model/.training/state.ckpt"]
    assert left(data.parent) == ["data.csv", "model", *state]
    monkeypatch.undo()
    assert_goes_on(train, data)


def test_the_disk_is_full_when_the_model_is_written(
    train: Run, data: Path, full: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    full("model.safetensors")
    message = train(data).refusal_after_progress()
    assert "model: the disk is full: make room, or write to another disk" in message
    assert "--resume" in message
    state = ["model/.training", "model/.training/run.json", "model/.training/state.ckpt"]
    assert left(data.parent) == ["data.csv", "model", *state]
    monkeypatch.undo()
    assert_goes_on(train, data)


def assert_goes_on(train: Run, data: Path) -> None:
    """The run that was stopped ends in the bytes of one that was not."""
    result = train(data, "--resume")
    assert result.code == 0, result.err
    assert train(data, out=data.parent / "other").code == 0
    weights = [(data.parent / name / "model.safetensors").read_bytes() for name in ("model", "other")]
    assert weights[0] == weights[1]
