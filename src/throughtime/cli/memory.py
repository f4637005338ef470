"""How a command gives memory back to the system: a setting of the whole process, which a library never makes."""

import contextlib
import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 16 << 20
_KEPT: Final = 64 << 20


def return_large_blocks() -> None:
    """Has glibc give a freed block of 16 MB or more straight back to the system, for the rest of the process.

    By itself it raises that limit to the largest block ever freed, up to 32 MB, and takes all smaller ones from its
    heap. The tensors of a training run have ever different sizes: the heap frays, and holds more than twice what is in
    use. A lower limit would save more, but each such block costs page faults (1 MB: a quarter of the speed or more;
    figures in ARCHITECTURE, "Decisions"). Elsewhere than with glibc, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _KEPT)
