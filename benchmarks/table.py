"""Tables for a terminal that are Markdown, so that docs/performance.md can take them as they are."""

from collections.abc import Sequence

from benchmarks.measure import spread
from benchmarks.results import OURS, Result, readable

ABSENT = "–"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first to the left, the others to the right."""
    widths = [max(3, *(len(row[column]) for row in [headers, *rows])) for column in range(len(headers))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(headers, widths), f"| {' | '.join(rule)} |", *(_line(row, widths) for row in rows)]
    return "\n".join(lines)


def result_tables(results: Sequence[Result]) -> str:
    """A table for each kind of work with contenders, and one of everything else."""
    parts = [_contest(group) for group in contests(results).values()]
    others = [result for result in results if not result.others]
    if others:
        parts.append(table(["case", "median", "spread", "samples"], [_row(result) for result in others]))
    return "\n\n".join(parts)


def contests(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Results with contenders by kind of work: "training", "inference", "streaming" of layers, "text-model"."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        if result.others:
            kind, *rest = result.case.split("/")
            groups.setdefault(rest[1] if kind == "layers" else kind, []).append(result)
    return groups


def names_of_others(results: Sequence[Result]) -> list[str]:
    """All contenders beside throughtime, in the order in which they appear."""
    return list(dict.fromkeys(name for result in results for name in result.others))


def _contest(results: Sequence[Result]) -> str:
    """throughtime's median and rate, and how many times it is faster than each other contender."""
    names = names_of_others(results)
    rows = []
    for result in results:
        rate = result.rate(OURS)
        ratios = [f"{result.advantage(name):.2f}" if name in result.samples else ABSENT for name in names]
        rows.append([result.case, _value(result), ABSENT if rate is None else f"{rate:.3g}", *ratios])
    return table(["case", OURS, "GF/s", *(f"× {name}" for name in names)], rows)


def _value(result: Result) -> str:
    return f"{readable(result.median(OURS), result.unit)} ± {spread(result.samples[OURS]):.0%}"


def _row(result: Result) -> list[str]:
    samples = result.samples[OURS]
    return [result.case, readable(result.median(OURS), result.unit), f"± {spread(samples):.0%}", str(len(samples))]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |"
