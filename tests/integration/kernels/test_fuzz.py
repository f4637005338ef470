"""No argument, however wrong, ends the process: a typed error, or a right answer. fuzz/ says how."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ENTRIES = [
    "BatchPlan",
    "Layer",
    "Stream",
    "Pooling",
    "pack",
    "forward",
    "backward",
    "project",
    "project_backward",
    "scatter",
    "draw_booleans",
]
EXAMPLES = 300
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("entry", [*ENTRIES, "activation"])
def test_random_arguments(entry: str, tmp_path: Path) -> None:
    note = tmp_path / "call.txt"
    program = [sys.executable, "-m", "tests.integration.kernels.fuzz", entry, str(note), str(EXAMPLES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250, check=False)
    call = note.read_text() if note.exists() else "none yet"
    if done.returncode < 0:
        pytest.fail(f"{signal.Signals(-done.returncode).name} in the call: {call}\n{done.stderr[-2000:]}")
    assert done.returncode == 0, f"{call}\n{done.stdout[-2000:]}{done.stderr[-6000:]}"
