"""Recomputation through time at the length that it is for: a fraction of the memory, each in a process of its own."""

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import sys
import torch
from throughtime.nn import LSTM
torch.set_num_threads(1)
recompute, bidirectional, backend, seq_len, batch = eval(sys.argv[1])
layer = LSTM(64, 128, bidirectional=bidirectional, recompute=recompute, backend=backend)
def train(seq_len):
    x = torch.randn(seq_len, batch, 64)
    _, (h_n, _) = layer(x)
    h_n.square().sum().backward()
def peak():
    # Not ru_maxrss, which starts from what the parent had.
    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))
train(64)
before = peak()
train(seq_len)
print(peak() - before)
"""


def _peak(*settings: object) -> int:
    """Kilobytes that a training step adds to the most the process ever had, after a short one has warmed it up."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", _PROGRAM, repr(settings)]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_under_a_fifth_at_4096_steps(bidirectional: bool) -> None:
    """Input and output count in both; a fifth of them and of all gates is what is left without gates."""
    whole = _peak(False, bidirectional, "native", 4096, 8)
    kept = _peak(True, bidirectional, "native", 4096, 8)
    assert kept < whole / 5, f"{kept} kB with recomputation, {whole} kB without"


def test_on_torch_operations_too() -> None:
    whole, kept = (_peak(again, False, "torch", 1024, 8) for again in (False, True))
    assert kept < whole / 4, f"{kept} kB with recomputation, {whole} kB without"
