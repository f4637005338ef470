"""No instruction set runs what was compiled for another: of a function that two share the linker would keep one."""

import shutil
import subprocess
from pathlib import Path

import pytest

OBJECTS = sorted(Path(__file__).parents[3].glob("build/core/**/isa_*.o"))


@pytest.mark.skipif(not OBJECTS or shutil.which("nm") is None, reason="the core's objects or nm are not there")
def test_instruction_sets_share_no_function() -> None:
    owners: dict[str, list[str]] = {}
    for path in OBJECTS:
        listed = subprocess.run(["nm", "-C", str(path)], capture_output=True, text=True, check=True).stdout
        # Weak and unique symbols: of these the linker takes any. What names a set is that set's own.
        weak = {line[19:] for line in listed.splitlines() if line[17:18] in "WVu"}
        for name in weak:
            if not any(f"throughtime::{isa}::" in name for isa in ("avx512", "avx2", "baseline")):
                owners.setdefault(name, []).append(path.name)
    shared = {name for name in owners if not name.startswith("DW.ref.")}  # data of exceptions, the same in all
    assert not shared
