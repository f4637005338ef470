"""`python -m benchmarks.compare A.json B.json`: how much better B is than A, case by case.

Two runs are not interleaved, so a ratio here is one of medians, and differences within the spreads mean nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import spread
from benchmarks.results import Result, ResultsError, Run, conditions_line, load, readable, unequal_conditions
from benchmarks.table import table


@dataclass(frozen=True)
class Difference:
    """One quantity in two runs. gain: how many times better the second is; spreads: as shares of the medians."""

    case: str
    contender: str
    unit: str
    medians: tuple[float, float]
    spreads: tuple[float, float]
    gain: float


def differences(first: Run, second: Run) -> list[Difference]:
    """Everything that both runs have measured, in the order of the first."""
    others = {result.case: result for result in second.results}
    return [
        _difference(before, others[before.case], contender)
        for before in first.results
        if before.case in others
        for contender in before.samples
        if contender in others[before.case].samples
    ]


def in_one_only(first: Run, second: Run) -> list[str]:
    """Names of cases that one of the runs lacks."""
    names = [{result.case for result in run.results} for run in (first, second)]
    return sorted(names[0] ^ names[1])


def _difference(before: Result, after: Result, contender: str) -> Difference:
    a, b = before.median(contender), after.median(contender)
    return Difference(
        case=before.case,
        contender=contender,
        unit=before.unit,
        medians=(a, b),
        spreads=(spread(before.samples[contender]), spread(after.samples[contender])),
        gain=a / b if before.better == "lower" else b / a,
    )


def _row(difference: Difference) -> list[str]:
    values = [
        f"{readable(value, difference.unit)} ± {share:.0%}"
        for value, share in zip(difference.medians, difference.spreads, strict=True)
    ]
    return [difference.case, difference.contender, *values, f"{difference.gain:.2f}"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description="How much better B is than A, case by case."
    )
    parser.add_argument("first", type=Path, metavar="A.json")
    parser.add_argument("second", type=Path, metavar="B.json")
    options = parser.parse_args(arguments)
    try:
        first, second = load(options.first), load(options.second)
    except ResultsError as error:
        print(f"benchmarks.compare: error: {error}", file=sys.stderr)
        return 2
    for name, run in (("A", first), ("B", second)):
        print(f"{name}: {conditions_line(run.conditions)}")
    for difference in unequal_conditions(first.conditions, second.conditions):
        print(f"not alike: {difference}")
    rows = [_row(difference) for difference in differences(first, second)]
    if rows:
        print("\n" + table(["case", "contender", "A", "B", "B is better by"], rows))
    else:
        print("the two runs have no case in common")
    for name in in_one_only(first, second):
        print(f"in one run only: {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
