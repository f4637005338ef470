"""Makes one OpenMP library visible to the native core, which is linked to none.

A process with two of them runs two sets of threads on the same cores. torch brings its own, so where torch is installed
that one is used, whether torch is imported before, after or never.
"""

import ctypes
import importlib.util
import sys
from pathlib import Path


def load() -> None:
    """Loads torch's OpenMP library, or else the system's; without any, the core works on one thread."""
    if "torch" in sys.modules:
        return  # it has made its own visible
    for library in (*_of_torch(), "libgomp.so.1"):
        try:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
        return


def _of_torch() -> list[Path]:
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    return sorted([*package.glob("lib/libgomp*"), *package.parent.glob("torch.libs/libgomp*")])
