"""One training run a folder at a time: another one would take its state away, and both would write one model."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from throughtime.spec.errors import OutputError


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold `folder` for this run as long as the block runs.

    The lock is the system's, on the folder itself: it ends with the process, however that ends, and leaves no file.
    Where there is no folder yet, or its file system has no locks, nothing is held.

    Raises:
        OutputError: another run holds it.
    """
    descriptor = _locked(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(folder: Path) -> int | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # not there, or not ours to read: whoever writes there says so
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OutputError(
            f"another run trains into {folder} right now: wait for its end, or choose another folder"
        ) from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
