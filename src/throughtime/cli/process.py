"""Settings of the whole process, which a command makes and a library never does."""

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from typing import Final

_SPINS: Final = "5000"
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_LARGE: Final = 16 << 20
_KEPT: Final = 64 << 20


def one_blas_thread() -> None:
    """Let NumPy multiply on one thread. To be called before NumPy is imported; a value that the user has set stays.

    Its products are small: two threads spend more time waiting for each other than they save, and under load from other
    programs many times more. The native core has threads of its own, which OMP_NUM_THREADS limits.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def short_waits() -> None:
    """Lets a thread that waits for others at the end of parallel work sleep after some 0.05 ms.

    GCC's OpenMP spins some milliseconds by itself. Beside another busy program the thread that spins then keeps a
    processor from the one that it waits for, and training keeps two fifths of its speed or less (figures in
    ARCHITECTURE, "Decisions"). To be called before anything loads OpenMP (torch, and the native core); what the user
    has set about waiting stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Around imports of torch and what stands on it: the garbage collector rests.

    There its rounds take 0.8 of 5 seconds and find next to nothing.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


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
