"""`python -m benchmarks.charts RESULTS.json FOLDER`: the pictures of docs/performance.md, from a run's results."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.results import OURS, Result, ResultsError, Run, load, readable
from benchmarks.table import contests, names_of_others

CELLS: Final = ("LSTM", "GRU", "RNN")
# Colours that stay apart for the colour-blind (Okabe and Ito), and marks that stay apart without colour.
_STYLES: Final = {
    "torch packed": ("#D55E00", "o"),
    "torch padded": ("#E69F00", "s"),
    "torch layer": ("#D55E00", "o"),
    "torch cell": ("#E69F00", "s"),
    "torch compiled": ("#CC79A7", "D"),
    "Keras": ("#009E73", "^"),
    "JAX": ("#0072B2", "v"),
    "ONNX Runtime": ("#56B4E9", "P"),
}
_OTHER_STYLE: Final = ("#777777", "X")
_OURS_BAR: Final = "#B8BEC9"
_ROW_INCHES: Final = 0.34
_MARGIN_INCHES: Final = 1.75


def draw(run: Run, folder: Path, *, suffix: str = "svg") -> list[Path]:
    """Draws what the results have contenders for; returns the files.

    Raises:
        ImportError: matplotlib is not there.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update(
        {"svg.hashsalt": "throughtime", "svg.fonttype": "path", "font.size": 8.5, "axes.axisbelow": True}
    )
    folder.mkdir(parents=True, exist_ok=True)
    groups = contests([result for result in run.results if result.case.startswith("layers/")])
    made = []
    for work, results in groups.items():
        made.append(_save(_ratios(work, results), folder / f"ratios-{work}.{suffix}"))
        made.append(_save(_rates(work, results), folder / f"rates-{work}.{suffix}"))
    return made


def draw_if_possible(run: Run, folder: Path) -> str:
    """Draws, and says what; or says why not."""
    try:
        made = draw(run, folder)
    except ImportError:
        return "no charts: matplotlib is not installed; it comes with the extra `report`"
    return f"charts: {', '.join(str(path) for path in made) or 'none, since no layer was measured'}"


def row_label(result: Result) -> str:
    """The problem without the cell and the work: "32 × 256 × 128 × 128 ragged"."""
    sizes, *kinds = result.case.split("/")[-1].split("-")
    if "/streaming/" in result.case:
        kinds = []
    words = ["both ways" if kind == "bidirectional" else kind for kind in kinds]
    return " ".join([sizes.replace("x", " × "), *words])


def _ratios(work: str, results: Sequence[Result]) -> Any:
    """How many times faster throughtime is than each contender; a panel a cell, a row a problem."""
    figure, panels, labels = _panels(results)
    largest = max(result.advantage(name) for result in results for name in result.others)
    smallest = min(result.advantage(name) for result in results for name in result.others)
    for cell, axes in panels.items():
        axes.axvspan(1e-9, 1.0, color="#F6DCDC", linewidth=0)
        axes.axvline(1.0, color="#AA3333", linewidth=1)
        for result in results:
            if result.case.split("/")[1] == cell:
                for name in result.others:
                    _mark(axes, name, result.advantage(name), labels.index(row_label(result)))
        axes.set_xscale("log")
        axes.set_xlim(min(0.8, smallest / 1.2), max(2.0, largest * 1.25))
        _plain_ticks(axes)
        axes.set_xlabel("times faster than …")
    return _finish(
        figure, panels, results, f"{work.capitalize()}: how many times faster throughtime is than each contender"
    )


def _rates(work: str, results: Sequence[Result]) -> Any:
    """Operations a second over real tokens; of a stream, microseconds a step. Bars are throughtime's."""
    figure, panels, labels = _panels(results)
    stream = work == "streaming"

    def value(result: Result, name: str) -> float:
        return result.median(name) * 1e6 if stream else (result.rate(name) or 0.0)

    largest = max(value(result, name) for result in results for name in result.samples)
    for cell, axes in panels.items():
        for result in results:
            if result.case.split("/")[1] != cell:
                continue
            row, ours = labels.index(row_label(result)), value(result, OURS)
            axes.barh(row, ours, height=0.62, color=_OURS_BAR, zorder=1)
            for name in result.others:
                _mark(axes, name, value(result, name), row)
            shown = readable(result.median(OURS), "s") if stream else f"{ours:.3g}"
            axes.text(largest * 1.04, row, shown, va="center", ha="left", fontsize=8, color="#333333")
        axes.set_xlim(0, largest * 1.02)
        axes.set_xlabel("µs a step" if stream else "GF/s over real tokens")
    better = "less is better" if stream else "more is better"
    unit = "time a step" if stream else "speed"
    return _finish(
        figure,
        panels,
        results,
        f"{work.capitalize()}: {unit} of throughtime (bars) and of the others; {better}",
        bars=True,
    )


def _panels(results: Sequence[Result]) -> tuple[Any, dict[str, Any], list[str]]:
    """A figure with a panel for each cell, and the labels of its rows from the top."""
    from matplotlib.figure import Figure

    labels = list(dict.fromkeys(row_label(result) for result in results))
    figure = Figure(figsize=(11.0, _MARGIN_INCHES + _ROW_INCHES * len(labels)), facecolor="white")
    axes = figure.subplots(1, len(CELLS), sharey=True)
    for cell, panel in zip(CELLS, axes, strict=True):
        panel.set_title(cell, fontsize=10, fontweight="bold")
        panel.set_ylim(len(labels) - 0.5, -0.5)
        panel.set_yticks(range(len(labels)), labels)
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        for row in range(1, len(labels)):
            panel.axhline(row - 0.5, color="#EEEEEE", linewidth=0.6)
        for side in ("top", "right", "left"):
            panel.spines[side].set_visible(False)
    return figure, dict(zip(CELLS, axes, strict=True)), labels


def _mark(axes: Any, name: str, x: float, row: int) -> None:
    colour, marker = _STYLES.get(name, _OTHER_STYLE)
    axes.plot(
        [x],
        [row],
        marker=marker,
        color=colour,
        markersize=6,
        linestyle="none",
        markeredgecolor="white",
        markeredgewidth=0.5,
        zorder=3,
        clip_on=False,
    )


def _plain_ticks(axes: Any) -> None:
    """1, 2, 5, 10, … in place of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_xlim()
    steps = (1.0,) if high / low > 500 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())


def _finish(figure: Any, panels: dict[str, Any], results: Sequence[Result], title: str, *, bars: bool = False) -> Any:
    """Title above, legend below, in inches, so that figures of few and of many rows look alike."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=_OURS_BAR, label=OURS)] if bars else []
    for name in names_of_others(results):
        colour, marker = _STYLES.get(name, _OTHER_STYLE)
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="none", markersize=6, label=name))
    height = figure.get_size_inches()[1]
    figure.suptitle(title, x=0.01, y=1.0 - 0.12 / height, ha="left", va="top", fontsize=10.5)
    where = {"x": 0.225, "y": 1.0 - 0.5 / height, "ha": "right", "va": "center"}
    figure.text(s="batch × steps × input × hidden", fontsize=7.5, color="#666666", **where)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False, borderaxespad=0.3)
    figure.subplots_adjust(left=0.235, right=0.965, top=1.0 - 0.62 / height, bottom=0.83 / height, wspace=0.16)
    return figure


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.charts", description="Draws a run's results.")
    parser.add_argument("results", type=Path, metavar="RESULTS.json")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--png", action="store_true", help="PNG in place of SVG")
    options = parser.parse_args(arguments)
    try:
        made = draw(load(options.results), options.folder, suffix="png" if options.png else "svg")
    except ResultsError as error:
        print(f"benchmarks.charts: error: {error}", file=sys.stderr)
        return 2
    print("\n".join(map(str, made)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
