"""Writing files so that a killed process or a full disk leaves the old file or the new one, never half a file."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from throughtime.spec.errors import OutputError

_REASONS: Final = {
    errno.ENOSPC: "the disk is full: make room, or write to another disk",
    errno.EDQUOT: "your disk quota is used up: make room, or write to another disk",
    errno.EFBIG: "the file would be larger than is allowed here: raise the limit, or write to another disk",
    errno.EACCES: "permission denied: choose a place that you may write to",
    errno.EPERM: "permission denied: choose a place that you may write to",
    errno.EROFS: "the file system is read-only: choose another place",
    errno.ENOENT: "its folder does not exist: create it first",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another place",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


def output_error(error: OSError, path: Path | str) -> OutputError:
    """The error of the operating system as one line that names the file and the remedy."""
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}: choose another place")
    return OutputError(f"cannot write {path}: {reason}")


@contextlib.contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file to write that takes the place of `path` when the block ends, and vanishes if the block raises.

    A link stays a link: what it points to is replaced. A device or pipe (/dev/stdout) is written directly. Every
    OSError of the block counts as one of writing: read input in it through code that raises errors of its own.

    Raises:
        OutputError: it cannot be created, written or renamed (no such folder, no permission, disk full, …).
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file() and not target.is_dir():
            with target.open("wb") as stream:
                yield stream
            return
        target = target.resolve()
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
        try:
            with temporary.open("xb") as stream:
                if target.exists():
                    shutil.copymode(target, temporary)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
            sync_directory(target.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OutputError:
        raise
    except OSError as error:
        raise output_error(error, path) from error


def write_file(path: Path | str, data: bytes) -> None:
    """Put `data` in place of `path`, wholly or not at all.

    Raises:
        OutputError: as `atomic_file`.
    """
    with atomic_file(path) as stream:
        stream.write(data)


def sync_directory(path: Path) -> None:
    """Make the names in a folder survive a power cut; a no-op where folders cannot be opened (Windows)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
