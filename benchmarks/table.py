"""Tables for a terminal that are Markdown, so that docs/performance.md can take them as they are."""

from collections.abc import Sequence

from benchmarks.contenders import PACKED, PADDED
from benchmarks.measure import median_ratio, spread
from benchmarks.results import OURS, Result, readable

ABSENT = "–"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; the first to the left, the others to the right."""
    widths = [max(3, *(len(row[column]) for row in [headers, *rows])) for column in range(len(headers))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_line(headers, widths), f"| {' | '.join(rule)} |", *(_line(row, widths) for row in rows)]
    return "\n".join(lines)


def result_tables(results: Sequence[Result]) -> str:
    """Layers with their contenders and ratios, then everything else."""
    layers = [result for result in results if PACKED in result.samples]
    others = [result for result in results if PACKED not in result.samples]
    parts = []
    if layers:
        headers = ["case", OURS, PACKED, PADDED, "packed / ours", "padded / ours"]
        parts.append(table(headers, [_layer_row(result) for result in layers]))
    if others:
        parts.append(table(["case", "median", "spread", "samples"], [_row(result) for result in others]))
    return "\n\n".join(parts)


def _layer_row(result: Result) -> list[str]:
    ours = result.samples[OURS]
    times = [
        f"{readable(result.median(name), result.unit)} ± {spread(result.samples[name]):.0%}"
        if name in result.samples
        else ABSENT
        for name in (OURS, PACKED, PADDED)
    ]
    ratios = [
        f"{median_ratio(result.samples[name], ours):.2f}" if name in result.samples else ABSENT
        for name in (PACKED, PADDED)
    ]
    return [result.case, *times, *ratios]


def _row(result: Result) -> list[str]:
    samples = result.samples[OURS]
    return [result.case, readable(result.median(OURS), result.unit), f"± {spread(samples):.0%}", str(len(samples))]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return f"| {' | '.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])} |"
