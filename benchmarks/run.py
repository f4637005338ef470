"""`python -m benchmarks.run`: measures the cases, prints tables, writes every sample to a JSON file."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.cases import (
    Case,
    ColdCase,
    LayerCase,
    RecomputeCase,
    TextModelCase,
    TrainingCase,
    VariantCase,
    all_cases,
    choose,
)
from benchmarks.charts import draw_if_possible
from benchmarks.external import LIBRARIES, Workers, workers
from benchmarks.goals import goal_tables
from benchmarks.layers import measure_layer
from benchmarks.machine import conditions
from benchmarks.prediction import measure_cold_start, measure_prediction, model_directory
from benchmarks.problem import WrongResultError
from benchmarks.recomputation import measure_recomputation
from benchmarks.results import Result, Run, conditions_line, save
from benchmarks.table import result_tables
from benchmarks.text_training import measure_text_model
from benchmarks.training import measure_training
from benchmarks.variants import measure_variant

_REPEATS: Final = 15
_QUICK_REPEATS: Final = 3
_PROCESS_REPEATS: Final = 3
"""At most, where a repeat is a whole process: training, recomputation."""
_MODEL_REVIEWS: Final = 5_000
_QUICK_MODEL_REVIEWS: Final = 300


class Failures:
    """What went wrong in cases that were then left out; the run goes on and ends with exit code 1."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, message: str) -> None:
        self.messages.append(message)
        print(f"failed: {message}", file=sys.stderr, flush=True)


def measure(
    cases: Sequence[Case], *, repeats: int, quick: bool, others: Workers, failures: Failures
) -> Iterator[list[Result]]:
    """The results of each case as it is done; a case that computes something wrong or fails has none."""
    with ExitStack() as stack:
        model: Path | None = None
        for case in cases:
            print(f"measuring {case.name}", file=sys.stderr, flush=True)
            try:
                if isinstance(case, LayerCase):
                    yield [measure_layer(case, repeats=repeats, workers=others, fail=failures.add)]
                elif isinstance(case, VariantCase):
                    yield [measure_variant(case, repeats=repeats, workers=others, fail=failures.add)]
                elif isinstance(case, RecomputeCase):
                    yield measure_recomputation(case, repeats=min(repeats, _PROCESS_REPEATS))
                elif isinstance(case, TextModelCase):
                    yield [measure_text_model(case)]
                elif isinstance(case, TrainingCase):
                    yield measure_training(case, repeats=min(repeats, _PROCESS_REPEATS))
                else:
                    if model is None:
                        size = _QUICK_MODEL_REVIEWS if quick else _MODEL_REVIEWS
                        model = stack.enter_context(model_directory(size))
                    if isinstance(case, ColdCase):
                        yield measure_cold_start(case, model, repeats=repeats)
                    else:
                        yield measure_prediction(case, model, repeats=repeats)
            except (WrongResultError, RuntimeError) as error:
                failures.add(str(error))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument(
        "--cases",
        nargs="+",
        default=[],
        metavar="NAME",
        help="only cases whose name begins so: training, layers/LSTM, 'layers/*/inference', …",
    )
    parser.add_argument(
        "--repeats", type=int, help=f"rounds of a case (default {_REPEATS}; whole processes at most {_PROCESS_REPEATS})"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark.json"), help="default: %(default)s")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: whether the benchmarks work, not how fast anything is"
    )
    names = [library.name for library in LIBRARIES]
    parser.add_argument(
        "--without", nargs="+", default=[], choices=names, metavar="NAME", help=f"leave out: {', '.join(names)}"
    )
    parser.add_argument("--charts", type=Path, metavar="DIR", help="draw charts into this folder")
    options = parser.parse_args(arguments)
    repeats = (_QUICK_REPEATS if options.quick else _REPEATS) if options.repeats is None else options.repeats
    if repeats < 1:
        parser.error(f"--repeats must be at least 1, but is {repeats}")
    try:
        cases = choose(all_cases(quick=options.quick), options.cases)
    except ValueError as error:
        parser.error(str(error))

    failures = Failures()
    with workers(tuple(library for library in LIBRARIES if library.name not in options.without)) as others:
        absent = ", ".join(others.absent)
        if absent:
            print(f"left out: {absent}; `make bench-contenders` makes their environments", file=sys.stderr)
        asked = {"quick": options.quick, "repeats": repeats, "without": options.without}
        run = Run({**conditions(), **asked, "contenders": {}}, [])
        for results in measure(cases, repeats=repeats, quick=options.quick, others=others, failures=failures):
            run.results.extend(results)
            run.conditions["contenders"] = others.versions()
            save(run, options.out)
    print(conditions_line(run.conditions))
    if options.quick:
        print("quick: these sizes say nothing about speed")
    if run.results:
        print(f"\n{result_tables(run.results)}")
        if not options.quick:
            print(f"\n{goal_tables(run.results)}")
        print(f"\nall samples: {options.out}")
    if options.without:
        print(f"left out by --without: {', '.join(options.without)}")
    if absent:
        print(f"left out, since their environments are not there: {absent}")
    if options.charts is not None:
        print(draw_if_possible(run, options.charts))
    for message in failures.messages:
        print(f"failed: {message}")
    return 1 if failures.messages else 0


if __name__ == "__main__":
    sys.exit(main())
