"""Measures prediction from a model directory in a process without torch, and the cold start of the command line.

As a program (`python -m benchmarks.prediction`) it is that process: it measures and prints JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from benchmarks.cases import ColdCase, PredictionCase
from benchmarks.measure import interleaved, run_process
from benchmarks.results import OURS, Result
from benchmarks.reviews import reviews, write_csv
from benchmarks.training import train
from throughtime.runtime import Predictor
from throughtime.spec.tolerances import PROBABILITY

TEXT: Final = "A wonderful film, and not a minute too long."
_STEPS: Final = 2
_TRAINING_SEED: Final = 0
_PREDICTION_SEED: Final = 1
HELP: Final = "help"
PREDICT: Final = "predict"


@contextmanager
def model_directory(training_reviews: int) -> Iterator[Path]:
    """A model of recipe `default` after two steps: of a real one's size and speed; what it says means nothing."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "reviews.csv"
        write_csv(data, *reviews(training_reviews, seed=_TRAINING_SEED))
        train(data, Path(folder) / "model", recipe="default", steps=_STEPS)
        yield Path(folder) / "model"


def measure_prediction(case: PredictionCase, model: Path, *, repeats: int) -> list[Result]:
    """Texts a second in one stream, and seconds of texts alone (every sample another text, in turn)."""
    numbers = {"--reviews": case.reviews, "--alone": case.alone, "--repeats": repeats}
    options = [part for name, number in numbers.items() for part in (name, str(number))]
    measured = json.loads(run_process([sys.executable, "-m", "benchmarks.prediction", str(model), *options]).output)
    if measured["torch_imported"]:
        raise RuntimeError(f"{case.name}: torch was imported for prediction")
    return [
        Result(f"{case.name}/stream", "texts/s", "higher", {OURS: measured["texts_a_second"]}),
        Result(f"{case.name}/one-text-alone", "s", "lower", {OURS: measured["seconds_alone"]}),
    ]


def measure_cold_start(case: ColdCase, model: Path, *, repeats: int) -> list[Result]:
    """Seconds of whole processes, from start to end. Two of each warm the file cache first."""
    program = [sys.executable, "-m", "throughtime"]
    label = json.loads(run_process([*program, "predict", str(model), TEXT]).output)["label"]
    expected = Predictor.load(model).predict([TEXT])[0]
    if label != expected:
        raise RuntimeError(f"{case.name}: the command line predicts {label!r} in place of {expected!r}")
    processes = {
        HELP: lambda: run_process([*program, "--help"]),
        PREDICT: lambda: run_process([*program, "predict", str(model), TEXT]),
    }
    samples = interleaved(processes, repeats=repeats, shortest=0.0)
    return [Result(f"{case.name}/{name}", "s", "lower", {OURS: seconds}) for name, seconds in samples.items()]


def measure_here(model: Path, *, count: int, alone: int, repeats: int) -> dict[str, Any]:
    """What `measure_prediction` asks of its process.

    Raises:
        RuntimeError: a text alone has other probabilities than in the stream.
    """
    predictor = Predictor.load(model)
    texts, _ = reviews(count, seed=_PREDICTION_SEED)
    together = predictor.predict_proba(texts)
    singles = texts[:alone]
    apart = np.concatenate([predictor.predict_proba([text]) for text in singles])
    difference = float(np.abs(together[: len(singles)] - apart).max())
    if not difference <= PROBABILITY.atol:
        raise RuntimeError(f"a text alone differs from the same text in a stream by {difference:.3g}")
    streams = interleaved({OURS: lambda: predictor.predict_proba(texts)}, repeats=repeats)[OURS]
    seconds_alone = []
    for text in singles:
        started = time.perf_counter()
        predictor.predict_proba([text])
        seconds_alone.append(time.perf_counter() - started)
    return {
        "texts_a_second": [len(texts) / seconds for seconds in streams],
        "seconds_alone": seconds_alone,
        "torch_imported": "torch" in sys.modules,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--reviews", type=int, required=True)
    parser.add_argument("--alone", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    options = parser.parse_args(arguments)
    print(json.dumps(measure_here(options.model, count=options.reviews, alone=options.alone, repeats=options.repeats)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
