"""How times are taken: warm, interleaved, every sample kept. Ratios are medians over rounds, never of the best run."""

import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol, runtime_checkable

SHORTEST_SAMPLE: Final = 0.02
"""Seconds. A faster contender is called several times a sample, so that the clock and the loop cost nothing beside."""

_LAUNCHER: Final = Path(__file__).with_name("launcher.py")

PAUSE: Final = 0.005
"""Seconds before each sample: the threads of the contender before have stopped waiting for more work by then."""

Clock = Callable[[], float]


@runtime_checkable
class Timed(Protocol):
    """A contender that takes its own times, as one in another process does."""

    def seconds(self, times: int) -> float:
        """Seconds of so many calls in a row."""


def interleaved(
    contenders: Mapping[str, Callable[[], object] | Timed],
    *,
    repeats: int,
    shortest: float = SHORTEST_SAMPLE,
    pause: float = PAUSE,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds a call of each contender, one sample a round.

    All contenders run in every round, so that whatever slows the machine for a while slows them alike; the round's
    first is another one each time. A call that is not among the samples comes before each sample: in the first one the
    caches and the allocator are as another contender left them, which costs whoever follows a loop of small tensors up
    to half of its time. Other such calls come before all rounds: one to warm up, one to choose how many calls make a
    sample, and where that is more than one, so many to choose again.
    """
    calls = {}
    for name, contender in contenders.items():
        _seconds(contender, 1, clock)
        calls[name] = _calls(_seconds(contender, 1, clock), shortest)
        if calls[name] > 1:  # what takes microseconds is not warm after two calls
            calls[name] = _calls(_seconds(contender, calls[name], clock) / calls[name], shortest)
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    collecting = gc.isenabled()
    try:
        for number in range(repeats):
            gc.collect()
            gc.disable()
            at = number % len(names)
            for name in names[at:] + names[:at]:
                time.sleep(pause)
                _seconds(contenders[name], 1, clock)
                samples[name].append(_seconds(contenders[name], calls[name], clock) / calls[name])
    finally:
        if collecting:
            gc.enable()
    return samples


def _calls(seconds: float, shortest: float) -> int:
    """Calls that make a sample, where one takes so long."""
    return max(1, math.ceil(shortest / max(seconds, 1e-9)))


def _seconds(contender: Callable[[], object] | Timed, times: int, clock: Clock) -> float:
    if isinstance(contender, Timed):
        return contender.seconds(times)
    started = clock()
    for _ in range(times):
        contender()
    return clock() - started


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Median over rounds of above / below, each pair taken in the same round.

    Raises:
        ValueError: the numbers of samples differ; gives both.
    """
    if len(above) != len(below):
        raise ValueError(f"samples of the same rounds are needed, but there are {len(above)} and {len(below)}")
    return median(a / b for a, b in zip(above, below, strict=True))


def spread(samples: Sequence[float]) -> float:
    """Half the width of the middle half of the samples, as a share of their median."""
    ordered = sorted(samples)
    return (_quantile(ordered, 0.75) - _quantile(ordered, 0.25)) / 2 / median(ordered)


def _quantile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


@dataclass(frozen=True)
class Finished:
    """A process that ended well: seconds from start to end, largest resident size in MB of 10⁶ bytes, its output."""

    seconds: float
    peak_memory_mb: float
    output: str


def run_process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a command to its end.

    Args:
        environment: variables beside those of this process.
    Raises:
        RuntimeError: it failed; holds the end of what it wrote to stderr.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(_LAUNCHER), str(report), *command],
            capture_output=True,
            env={**os.environ, **(environment or {})},
            check=False,
        )
        started = done.returncode == 0
        facts: dict[str, Any] = json.loads(report.read_text(encoding="utf-8")) if started else {"exit_code": None}
    if facts["exit_code"] != 0:
        tail = done.stderr.decode(errors="replace").strip()[-2000:]
        what = f"ended with exit code {facts['exit_code']}" if started else "could not be started"
        raise RuntimeError(f"{' '.join(command)} {what}: {tail}")
    return Finished(facts["seconds"], facts["peak_memory_mb"], done.stdout.decode())
