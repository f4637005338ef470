"""Runs a command and writes its seconds, its largest resident size and its exit code to a file.

A program on its own because Linux counts the memory of the process that starts a command as the command's, up to the
moment of exec: the one that starts must be small. Called as: launcher.py REPORT COMMAND...
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(report: str, *command: str) -> None:
    started = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    facts = {"seconds": seconds, "peak_memory_mb": usage.ru_maxrss * unit / 1e6, "exit_code": process.returncode}
    Path(report).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
