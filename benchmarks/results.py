"""A run's results as a JSON file, and its table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal, TypeAlias

from benchmarks.measure import median_ratio

FORMAT: Final = 1
OURS: Final = "throughtime"

Better: TypeAlias = Literal["lower", "higher"]


class ResultsError(Exception):
    """A file of results cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Result:
    """One measured quantity. samples: contender → one value a round, in `unit`; facts: what else belongs to it."""

    case: str
    unit: str
    better: Better
    samples: dict[str, list[float]]
    facts: dict[str, Any] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        return median(self.samples[contender])

    @property
    def others(self) -> list[str]:
        """Contenders beside throughtime, where they were measured with it in the same rounds."""
        return [name for name in self.samples if name != OURS] if OURS in self.samples else []

    def advantage(self, contender: str) -> float:
        """How many times better throughtime is: the median over rounds of the two samples of the same round."""
        ours, theirs = self.samples[OURS], self.samples[contender]
        return median_ratio(theirs, ours) if self.better == "lower" else median_ratio(ours, theirs)

    def rate(self, contender: str) -> float | None:
        """GF/s: thousands of millions of floating-point operations a second; None where they are not counted."""
        flops = self.facts.get("flops")
        return None if flops is None else flops / self.median(contender) / 1e9


@dataclass(frozen=True)
class Run:
    """All results of a run. conditions: machine, versions, commit, date and whatever else decides the figures."""

    conditions: dict[str, Any]
    results: list[Result]


def save(run: Run, path: Path) -> None:
    """Writes `path` anew; it is whole at any moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    content = {"format": FORMAT, **run.conditions, "results": [asdict(result) for result in run.results]}
    unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(path)


def load(path: Path) -> Run:
    """Reads what `save` wrote.

    Raises:
        ResultsError: there is no such file, or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}; give a file that benchmarks.run wrote") from error
    except ValueError as error:
        raise ResultsError(f"{path}: no JSON ({error}); give a file that benchmarks.run wrote") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ResultsError(f"{path}: not results of format {FORMAT}; measure again with benchmarks.run")
    try:
        results = [Result(**result) for result in content.pop("results")]
    except (KeyError, TypeError) as error:
        raise ResultsError(f"{path}: its results are not complete ({error}); measure again") from error
    return Run(content, results)


def readable(value: float, unit: str) -> str:
    """A value for a table: seconds as s, ms or µs, large numbers with separators."""
    if unit != "s":
        return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    rounded = float(f"{value:.3g}")
    for scale, name in ((1, "s"), (1000, "ms")):
        if rounded * scale >= 1:
            return f"{rounded * scale:,.4g} {name}"
    return f"{rounded * 1e6:.3g} µs"


def conditions_line(conditions: Mapping[str, Any]) -> str:
    """The machine, versions and commit in a line."""
    machine, versions, threads = conditions["machine"], conditions["versions"], conditions["threads"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {conditions.get('instruction_set') or 'no core'}, "
        f"torch on {threads['torch']} threads, "
        f"throughtime {versions['throughtime']}, torch {versions['torch']}, Python {versions['python']}, "
        f"commit {conditions['commit']}, {conditions['date']}"
    )


def unequal_conditions(first: Mapping[str, Any], second: Mapping[str, Any]) -> Sequence[str]:
    """What of two runs' machines, threads and repeats differs, beside the versions that one wants to compare."""
    return [
        f"{key}: {first.get(key)} / {second.get(key)}"
        for key in ("machine", "instruction_set", "threads", "contenders", "quick")
        if first.get(key) != second.get(key)
    ]
