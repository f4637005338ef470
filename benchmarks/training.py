"""Measures training as a user runs it: the command line in a process of its own, with an empty cache each time."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import TrainingCase
from benchmarks.measure import Finished, run_process
from benchmarks.results import OURS, Result
from benchmarks.reviews import reviews, write_csv


def train(data: Path, out: Path, *, recipe: str, steps: int, watched: bool = False) -> Finished:
    """`throughtime train` for so many steps of one epoch, with a cache beside `out`.

    watched: with the seconds of its looks at the gradients through time beside it, too.
    """
    changes = {"training.epochs": 1, "training.min_steps": "null", "training.max_steps": steps}
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    module = "benchmarks.workers.watched_training" if watched else "throughtime"
    command = [sys.executable, "-m", module, "train", str(data), "--out", str(out), "--recipe", recipe, *settings]
    beside = {"THROUGHTIME_CACHE": str(out.with_suffix(".cache")), "WATCH_SECONDS": str(out.with_suffix(".watch"))}
    return run_process(command, beside)


def measure_training(case: TrainingCase, *, repeats: int) -> list[Result]:
    """Tokens a second of the steps, peak memory and seconds of the whole process, from reading to the written model.

    And which share of the epoch its look at the gradients through time takes, where it is long enough to have one: of
    an epoch of all reviews it is less.
    """
    rates: list[float] = []
    memory: list[float] = []
    seconds: list[float] = []
    watching: list[float] = []
    with TemporaryDirectory() as folder:
        data = Path(folder) / "reviews.csv"
        write_csv(data, *reviews(case.reviews))
        # The first run only warms up: the files of the libraries come from the disk then.
        train(data, Path(folder) / "warm", recipe=case.recipe, steps=1)
        for number in range(repeats):
            out = Path(folder) / f"model-{number}"
            finished = train(data, out, recipe=case.recipe, steps=case.steps, watched=True)
            epoch = json.loads((out / "history.jsonl").read_text(encoding="utf-8").splitlines()[-1])
            if epoch["step"] != case.steps or epoch["skipped_steps"]:
                raise RuntimeError(
                    f"{case.name}: {epoch['step']} steps were done and {epoch['skipped_steps']} skipped, "
                    f"in place of {case.steps} and 0"
                )
            rates.append(epoch["tokens_per_second"])
            memory.append(finished.peak_memory_mb)
            seconds.append(finished.seconds)
            looks = json.loads(out.with_suffix(".watch").read_text(encoding="utf-8"))
            watching += [100 * sum(looks) / epoch["seconds"]] if looks else []
    results = [
        Result(f"{case.name}/tokens-a-second", "tokens/s", "higher", {OURS: rates}),
        Result(f"{case.name}/peak-memory", "MB", "lower", {OURS: memory}),
        Result(f"{case.name}/whole-process", "s", "lower", {OURS: seconds}),
    ]
    return results + ([Result(f"{case.name}/gradient-flow-share", "%", "lower", {OURS: watching})] if watching else [])
