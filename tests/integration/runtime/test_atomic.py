"""Files that are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from throughtime.runtime.atomic import atomic_file, write_file
from throughtime.spec.errors import OutputError


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    for content in (b"one", b"another"):
        write_file(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
        assert names(tmp_path) == ["file"]


def test_nobody_sees_a_file_half_written(tmp_path: Path) -> None:
    write_file(tmp_path / "file", b"old")
    with atomic_file(tmp_path / "file") as stream:
        stream.write(b"new")
        stream.flush()
        assert (tmp_path / "file").read_bytes() == b"old"
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("failure", [ValueError("x"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, failure: BaseException) -> None:
    write_file(tmp_path / "file", b"old")
    expected = OutputError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected), atomic_file(tmp_path / "file") as stream:
        stream.write(b"new")
        raise failure
    assert (tmp_path / "file").read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_disk_that_is_full_when_all_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*file: the disk is full: make room"):
        write_file(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_a_limit_on_file_sizes_is_a_full_disk(tmp_path: Path) -> None:
    """A real failure of a real write, in the middle of it."""
    resource = pytest.importorskip("resource", reason="needs the limits of a POSIX system")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match="larger than is allowed here"):
            write_file(tmp_path / "file", bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path, reason in [
        (tmp_path, "it is a folder: name a file"),
        (tmp_path / "no" / "file", "its folder does not exist: create it first"),
        (tmp_path / "file" / "file", "a part of the path is a file"),
        (tmp_path / ("x" * 300), "the name is too long"),
    ]:
        with pytest.raises(OutputError, match=reason):
            write_file(path, b"x")
    assert names(tmp_path) == ["file"]


def test_links_permissions_and_long_names_stay(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "target").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == 0o640
    write_file(tmp_path / ("x" * 255), b"x")


def test_devices_are_written_directly() -> None:
    if not Path("/dev/null").exists():
        pytest.skip("needs the device /dev/null, which this system does not have")
    write_file("/dev/null", b"x")
    assert not Path("/dev/null").is_file()
