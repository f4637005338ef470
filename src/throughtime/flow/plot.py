"""Pictures of a measurement, and of several side by side. matplotlib is imported when one is drawn."""

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from throughtime.flow.gates import NEAR
from throughtime.flow.result import DirectionFlow, GradientFlow
from throughtime.flow.spread import Array, Spread
from throughtime.flow.themes import COLOURS, Colours, Theme, colours
from throughtime.flow.verdict import EXPLODING, VANISHING
from throughtime.runtime.atomic import write_file
from throughtime.spec.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS: Final = (".png", ".svg", ".pdf")
_LOWEST: Final = 1e-9
_HIGHEST: Final = 1e7
"""Norms beyond these leave the picture: it is to show when a gradient goes, not how far."""
_BEYOND: Final = 1e300
_LABEL_INCHES: Final = 0.16
_LABEL_WIDTH: Final = 0.3
"""Height of a label, and the share of a panel's width within which labels keep out of each other's way."""


def draw(flow: GradientFlow, *, theme: Theme = "light") -> "Figure":
    """A figure of four panels, a colour a direction of a layer.

    How far the last state's gradient reaches back; the gradient that the loss sends to each state; the spectral radius
    of each step, with the leading Lyapunov exponents; and where the gates stand.

    Raises:
        OptionError: a theme that does not exist, or matplotlib is not installed.
    """
    look = colours(theme)
    with _style(look) as figure_of:
        gates = sum(len(direction.gates) for direction in flow.directions)
        upper, lower = 3.0, max(2.4, 0.19 * gates)
        first = 1.62 if len(flow.directions) > 1 else 1.36
        second = first + upper + 1.22
        width, height = 11.4, second + lower + 0.6
        figure = figure_of(width, height)

        def panel(column: int, top: float, tall: float) -> Any:
            """In inches: a column of two, and where its top is below that of the figure."""
            left = 0.78 + column * 5.55
            return figure.add_axes((left / width, 1 - (top + tall) / height, 4.55 / width, tall / height))

        _heading(figure, flow, look)
        short = len(flow.directions) > 1
        entries = [(_short(direction) if short else "", direction) for direction in flow.directions]
        _reach(panel(0, first, upper), entries, look, bands=True)
        _loss(panel(1, first, upper), flow, look)
        _spectrum(panel(0, second, lower), flow, look)
        _gates(panel(1, second, lower), flow, look)
        return figure


def compare(flows: Mapping[str, GradientFlow], *, theme: Theme = "light", title: str = "") -> "Figure":
    """How far gradients reach in several models, a line each, labelled by the keys: the worst direction of each.

    Raises:
        OptionError: no flows, a theme that does not exist, or matplotlib is not installed.
    """
    look = colours(theme)
    if not flows:
        raise OptionError("compare needs at least one flow, but got none")
    with _style(look) as figure_of:
        entries = [(f"{name}: {flow.verdict}", flow.worst) for name, flow in flows.items()]
        margin = 0.3 + 0.066 * max(len(name) for name, _ in entries)
        width, height = 6.6 + 0.78 + margin, 4.9
        figure = figure_of(width, height)
        panel = figure.add_axes((0.78 / width, 0.6 / height, 6.6 / width, 3.8 / height))
        _reach(panel, entries, look, bands=False)
        panel.set_title(title or "How far back the last state's gradient reaches", pad=10)
        return figure


def picture_ending(path: Path | str) -> str:
    """One of FORMATS; raises OptionError for another."""
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        raise OptionError(f"{path}: a picture's name must end in {', '.join(FORMATS)}")
    return ending


def save(figure: "Figure", path: Path | str) -> None:
    """Writes a figure, wholly or not at all; the format is that of the ending.

    Raises:
        OptionError: an ending that is not .png, .svg or .pdf.
        OutputError: it cannot be written.
    """
    ending = picture_ending(path)
    import matplotlib as mpl

    stream = io.BytesIO()
    # Neither a date nor random names: the same numbers give the same bytes.
    undated: Any = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending)
    with mpl.rc_context({"svg.hashsalt": "throughtime"}):
        figure.savefig(stream, format=ending[1:], dpi=160, facecolor=figure.get_facecolor(), metadata=undated)
    write_file(path, stream.getvalue())


def save_themes(flow: GradientFlow, path: Path) -> list[Path]:
    """The picture for light pages at `path`, and that for dark ones beside it, as in flow.png and flow-dark.png."""
    places = [path, path.with_name(f"{path.stem}-dark{path.suffix}")]
    for theme, place in zip(COLOURS, places, strict=True):
        save(draw(flow, theme=theme), place)
    return places


@contextmanager
def _style(look: Colours) -> "Iterator[Callable[[float, float], Figure]]":
    """Gives a function of a size in inches that makes a figure in the theme's colours."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise OptionError(
            "pictures need matplotlib, which is not installed: pip install 'throughtime[report]'"
        ) from None
    settings: Any = {
        "font.size": 9,
        "text.color": look.text,
        "axes.labelcolor": look.text,
        "axes.edgecolor": look.muted,
        "axes.facecolor": look.background,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 24,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": look.grid,
        "grid.linewidth": 0.7,
        "xtick.color": look.muted,
        "ytick.color": look.muted,
        "xtick.labelcolor": look.text,
        "ytick.labelcolor": look.text,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 8,
    }
    with mpl.rc_context(settings):
        yield lambda width, height: Figure(figsize=(width, height), facecolor=look.background)


def _short(direction: DirectionFlow) -> str:
    """As in 0→ and 1←: layer and direction."""
    return f"{direction.layer}{'←' if direction.reverse else '→'}"


def _in_symbols(reason: str) -> str:
    return reason.replace("∂s_T/∂s_(T−k)", "∂s$_T$/∂s$_{T−k}$")


def _heading(figure: "Figure", flow: GradientFlow, look: Colours) -> None:
    """Verdict and model; the reason; and, where there are several, the colours of the directions."""
    width, height = figure.get_size_inches()
    colour = look.verdicts[flow.verdict]
    chip = {"boxstyle": "round,pad=0.32", "facecolor": colour, "edgecolor": colour}
    style: dict[str, Any] = {"fontsize": 11.5, "fontweight": "bold", "va": "top"}
    first = figure.text(0.3 / width, 1 - 0.2 / height, flow.verdict, color=look.background, bbox=chip, **style)
    end = first.get_window_extent().x1 / figure.dpi
    figure.text((end + 0.24) / width, 1 - 0.2 / height, flow.model, **style)
    where = f"{flow.worst.name}: " if len(flow.directions) > 1 else ""
    lines = "\n".join(textwrap.wrap(where + flow.reason, 172)[:2])
    figure.text(0.25 / width, 1 - 0.52 / height, _in_symbols(lines), fontsize=8.5, va="top", color=look.muted)
    if len(flow.directions) > 1:
        left = 0.25
        for number, direction in enumerate(flow.directions):
            colour = look.lines[number % len(look.lines)]
            name = f"{_short(direction)}  {direction.name}"
            text = figure.text(left / width, 1 - 0.86 / height, name, fontsize=8.5, va="top", color=colour)
            left = text.get_window_extent().x1 / figure.dpi + 0.3


def _reach(panel: Any, entries: Sequence[tuple[str, DirectionFlow]], look: Colours, *, bands: bool) -> None:
    """Norms of ∂s_T/∂s_(T−k) against k, with the thresholds of the verdict."""
    ends = []
    for number, (name, direction) in enumerate(entries):
        colour = look.lines[number % len(look.lines)]
        _line(panel, direction.lags, direction.norm, colour, _dashes(number, look), band=bands)
        if bands:
            panel.plot(direction.lags, _shown(direction.mean.median), ":", color=colour, linewidth=1.4)
        ends.append((name, colour, direction.lags, direction.norm.median))
    _log_axis(panel, [direction.norm for _, direction in entries], at_most=VANISHING / 4, at_least=2.0)
    panel.set_xlim(0, max(int(lags[-1]) for _, _, lags, _ in ends))
    _threshold(panel, VANISHING, f"vanishing: below {VANISHING:.0%}", look)
    if panel.get_ylim()[1] > EXPLODING:
        _threshold(panel, EXPLODING, f"exploding: mean above {EXPLODING:g}", look)
    panel.set_title("How far back the last state's gradient reaches")
    panel.set_xlabel("lag k (steps)")
    panel.set_ylabel("∂s$_T$/∂s$_{T−k}$: singular value (ratio)" if bands else "norm of ∂s$_T$/∂s$_{T−k}$ (ratio)")
    _end_labels(panel, ends)
    if bands:
        _legend(panel, look, [("-", "largest (the norm)"), (":", "mean")])


def _loss(panel: Any, flow: GradientFlow, look: Colours) -> None:
    """Norms of ∂L/∂h_t and ∂L/∂c_t against the distance from the end."""
    ends = []
    for number, direction in enumerate(flow.directions):
        colour = look.lines[number % len(look.lines)]
        _line(panel, direction.distance, direction.loss_to_h, colour, _dashes(number, look), band=True)
        if direction.loss_to_c is not None:
            panel.plot(direction.distance, _shown(direction.loss_to_c.median), ":", color=colour, linewidth=1.4)
        name = _short(direction) if len(flow.directions) > 1 else ""
        ends.append((name, colour, direction.distance, direction.loss_to_h.median))
    _log_axis(panel, [direction.loss_to_h for direction in flow.directions])
    panel.set_xlim(0, max(1, flow.seq_len - 1))
    panel.set_title("What the loss sends to each state")
    panel.set_xlabel("distance from the end of the sequence (steps)")
    panel.set_ylabel("norm of the gradient (loss per unit of state)")
    _end_labels(panel, ends)
    styles = [("-", "∂L/∂h$_t$")]
    if any(direction.loss_to_c is not None for direction in flow.directions):
        styles.append((":", "∂L/∂c$_t$"))
    _legend(panel, look, styles)


def _spectrum(panel: Any, flow: GradientFlow, look: Colours) -> None:
    """The spectral radius of single steps, from the sequence's end back."""
    panel.axhline(1.0, color=look.muted, linewidth=1, linestyle=(0, (4, 3)))
    for number, direction in enumerate(flow.directions):
        colour = look.lines[number % len(look.lines)]
        _line(panel, direction.steps, direction.spectral_radius, colour, _dashes(number, look), band=True)
        panel.plot(direction.steps, direction.spectral_radius.median, "o", color=colour, markersize=3.5, clip_on=False)
    values = np.concatenate([direction.spectral_radius.high for direction in flow.directions])
    panel.set_ylim(0, max(1.25, 1.1 * float(np.nanmax(values))))
    panel.set_xlim(0, max(1, max(int(direction.steps[-1]) for direction in flow.directions)))
    panel.set_title("What one step does")
    panel.set_xlabel("distance from the end of the sequence (steps)")
    panel.set_ylabel("∂s$_t$/∂s$_{t−1}$: spectral radius (ratio)")
    exponents = [float(direction.lyapunov.median[0]) for direction in flow.directions]
    low, high = (f"{value:+.3g}".replace("-", "−") for value in (min(exponents), max(exponents)))
    shown = high if len(exponents) == 1 else f"from {low} to {high}"
    panel.text(
        0.0,
        1.03,
        f"leading Lyapunov exponent {shown} nats a step",
        transform=panel.transAxes,
        fontsize=8,
        color=look.muted,
    )


def _gates(panel: Any, flow: GradientFlow, look: Colours) -> None:
    """A bar for each gate of each direction: shares near its low end, between, and near its high end."""
    from matplotlib.patches import Patch

    row = 0.0
    places, labels = [], []
    for number, direction in enumerate(flow.directions):
        first = row
        for gate in direction.gates:
            edges = np.cumsum([0.0, gate.low, 1.0 - gate.low - gate.high, gate.high])
            for start, stop, colour in zip(edges, edges[1:], (look.low, look.between, look.high), strict=False):
                panel.barh(row, 100 * (stop - start), left=100 * start, height=0.72, color=colour)
            places.append(row)
            labels.append(gate.name)
            mean = f"{round(gate.mean, 2) + 0.0:.2f}".replace("-", "−")
            panel.text(103, row, mean, fontsize=8, color=look.muted, va="center")
            row += 1
        if len(flow.directions) > 1:
            panel.text(
                -0.075,
                (first + row - 1) / 2,
                _short(direction),
                color=look.lines[number % len(look.lines)],
                transform=panel.get_yaxis_transform(),
                va="center",
                ha="right",
            )
            row += 0.5
    panel.set_yticks(places, labels)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(max(row - 0.4, 3.6), -0.6)
    panel.set_xlim(0, 100)
    panel.grid(visible=False)
    panel.spines["left"].set_visible(False)
    panel.text(1.03, 1.03, "mean", transform=panel.transAxes, fontsize=8, color=look.muted)
    panel.set_title("Where the gates stand")
    panel.set_xlabel(f"share of activations (%); near: within {NEAR:g}")
    names = ((look.low, "near the low end"), (look.between, "between"), (look.high, "near the high end"))
    _legend_row(panel, [Patch(color=colour, label=name) for colour, name in names], look, length=0.9)


def _dashes(number: int, look: Colours) -> str:
    """Colours come again after so many lines; then with dashes."""
    return "-" if number < len(look.lines) else "--"


def _line(panel: Any, x: NDArray[np.int64], spread: Spread, colour: str, style: str, *, band: bool) -> None:
    if band:
        low, high = _shown(spread.low), _shown(spread.high)
        panel.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
    panel.plot(x, _shown(spread.median), style, color=colour)


def _shown(values: Array) -> Array:
    """Zeros, which no logarithm has, at a number below every axis, and what is not finite above it."""
    shown = np.where(values <= 0, 1 / _BEYOND, values)
    return np.where(np.isfinite(shown), shown, _BEYOND)


def _log_axis(panel: Any, spreads: Sequence[Spread], *, at_most: float = math.inf, at_least: float = 0.0) -> None:
    """A logarithmic axis over what is positive of medians and bands, at least two decades and at most as _LOWEST says.

    Args:
        at_most, at_least: what its low and its high end are at most and at least.
    """
    from matplotlib.ticker import NullFormatter

    every = np.concatenate([part for spread in spreads for part in (spread.low, spread.median, spread.high)])
    known = every[np.isfinite(every) & (every > 0)]
    highest, lowest = (float(known.max()), float(known.min())) if len(known) else (1.0, 0.1)
    top = min(highest, _HIGHEST if at_least else 1e200)  # matplotlib's ticks go beyond the axis, and would overflow
    bottom = min(max(lowest, _LOWEST * min(top, 1.0)), at_most, top / 50)
    panel.set_ylim(0.7 * bottom, max(2.0 * top, at_least))
    panel.set_yscale("log")  # after the limits, or it looks for some of its own and overflows
    panel.yaxis.set_minor_formatter(NullFormatter())


def _threshold(panel: Any, level: float, text: str, look: Colours) -> None:
    panel.axhline(level, color=look.muted, linewidth=1, linestyle=(0, (4, 3)))
    panel.text(
        0.99,
        level,
        text,
        transform=panel.get_yaxis_transform(),
        ha="right",
        va="bottom",
        fontsize=7.5,
        color=look.muted,
    )


def _end_labels(panel: Any, ends: Sequence[tuple[str, str, NDArray[np.int64], Array]]) -> None:
    """Names where the lines end or leave the picture, moved up where they would overlap."""
    low, high = (math.log10(limit) for limit in panel.get_ylim())
    right = panel.get_xlim()[1]
    inches = panel.get_window_extent().height / panel.figure.dpi
    places: list[tuple[float, float, str, str]] = []
    for name, colour, x, values in ends:
        heights = (np.log10(_shown(values)) - low) / (high - low)
        outside = np.flatnonzero((heights < 0) | (heights > 1))
        last = int(outside[0]) if len(outside) else len(x) - 1
        at, height = float(x[last]), float(heights[last])
        if len(outside) and last:
            edge = 0.0 if height < 0 else 1.0
            share = (edge - heights[last - 1]) / (height - heights[last - 1])
            at, height = float(x[last - 1] + share * (x[last] - x[last - 1])), edge
        places.append((at / right, float(np.clip(height, 0.02, 0.98)), name, colour))
    taken: list[tuple[float, float]] = []
    for at, wanted, name, colour in sorted(places, key=lambda place: place[1]):
        height = wanted
        for _, other in sorted(spot for spot in taken if abs(spot[0] - at) < _LABEL_WIDTH):
            height = max(height, other + _LABEL_INCHES / inches) if height < other + _LABEL_INCHES / inches else height
        taken.append((at, height))
        panel.text(at + 0.012, height, name, transform=panel.transAxes, color=colour, fontsize=8.5, va="center")


def _legend(panel: Any, look: Colours, styles: Sequence[tuple[str, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=look.muted, linestyle=cast("Any", style), label=name) for style, name in styles]
    _legend_row(panel, handles, look, length=2.0)


def _legend_row(panel: Any, handles: Sequence[Any], look: Colours, *, length: float) -> None:
    """Between a panel and its title."""
    panel.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.005, 1.0),
        ncols=len(handles),
        labelcolor=look.muted,
        handlelength=length,
        handletextpad=0.6,
        columnspacing=1.4,
        borderaxespad=0.0,
        borderpad=0.3,
    )
