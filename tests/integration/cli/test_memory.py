"""The setting that gives large blocks back, in a process of its own."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's heap is what is set")

# glibc takes a block from its heap, not from the system, once it has seen a freed one as large.
PROGRAM = """
import ctypes, sys
from throughtime.cli.memory import return_large_blocks
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


def test_a_large_block_does_not_come_from_the_heap_any_more() -> None:
    assert heap_growth("set") < 1 << 20
    assert heap_growth("leave") > 16 << 20
