"""Settings of a whole process, in processes of their own."""

import gc
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from throughtime.cli.process import loading

TWO_CLASSES = [("good", "pos"), ("bad", "neg")]
# glibc takes a block from its heap, not from the system, once it has seen a freed one as large.
PROGRAM = """
import ctypes, sys
from throughtime.cli.process import return_large_blocks
if sys.argv[1] == "set":
    return_large_blocks()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
libc.free(libc.malloc(24 << 20))
before = libc.sbrk(0)
block = libc.malloc(20 << 20)
print(libc.sbrk(0) - before)
"""


def heap_growth(argument: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, argument], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap is what is set")
def test_a_large_block_does_not_come_from_the_heap_any_more() -> None:
    assert heap_growth("set") < 1 << 20
    assert heap_growth("leave") > 16 << 20


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_rests_while_libraries_load_and_then_is_as_before(collecting: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        with pytest.raises(ImportError), loading():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() == collecting
    finally:
        (gc.enable if was else gc.disable)()


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)]
)
def test_training_waits_shortly_unless_the_user_has_said_how(given: dict[str, str], spins: str | None) -> None:
    """Whether it came in time: OpenMP says at its start, when torch is imported, how it was set."""
    program = "from throughtime.cli.process import short_waits; short_waits(); import torch"
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = kept | given | {"OMP_DISPLAY_ENV": "VERBOSE"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("torch's OpenMP is not GCC's")
    [shown] = [line for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line]
    assert (f"= '{spins}'" in shown) if spins else ("= '5000'" not in shown)


def test_training_is_set_so_before_torch_is_loaded(tmp_path: Path) -> None:
    rows = "".join(f"{word} film {number},{label}\n" for number in range(20) for word, label in TWO_CLASSES)
    (tmp_path / "data.csv").write_text("text,label\n" + rows)
    command = ["train", "data.csv", "--out", "model", "--set", "training.max_steps=1"]
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-m", "throughtime", *command],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=kept | {"OMP_DISPLAY_ENV": "VERBOSE"},
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("torch's OpenMP is not GCC's")
    assert "GOMP_SPINCOUNT = '5000'" in done.stderr
