"""The conditions of a run: machine, threads, versions, commit, date."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import torch

from throughtime import kernels

_PACKAGES: Final = ("throughtime", "torch", "numpy", "tokenizers", "lightning")
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
_ROOT: Final = Path(__file__).parent.parent


def conditions() -> dict[str, Any]:
    """What decides the figures, with nothing that names the machine or its user."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "cpu": _cpu("model name") or platform.processor() or platform.machine(),
            # Names of rented processors leave out what tells one generation from another.
            "cpu_model": "-".join(filter(None, map(_cpu, ("cpu family", "model", "stepping")))) or None,
            "cores": _cores(),
            "architecture": platform.machine(),
            "system": platform.system(),
        },
        "instruction_set": kernels.isa() if kernels.available() else None,
        "threads": {"torch": torch.get_num_threads(), **{name: os.environ.get(name) for name in _THREAD_VARIABLES}},
        "load": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }


def _cores() -> int:
    """Cores that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu(wanted: str) -> str | None:
    """What Linux says of the first core under this heading."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == wanted:
                return value.strip()
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit, with "+changes" where tracked files differ from it; None outside a repository."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return None
    return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
