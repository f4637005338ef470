"""`python -m benchmarks.gradient_flow FOLDER`: the pictures of docs/gradient-flow.md, measured afresh from fixed seeds.

A minute or two on one core. Each picture is made for light pages and, as NAME-dark.png, for dark ones.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from throughtime import nn
from throughtime.flow import GradientFlow, measure
from throughtime.flow.plot import draw, save
from throughtime.flow.tasks import Adding, Experiment, Outcome, run, scored_sequences
from throughtime.flow.themes import COLOURS, Theme, colours
from throughtime.flow.verdict import EXPLODING, VANISHING
from throughtime.nn.base import Recurrent
from throughtime.spec.errors import ThroughtimeError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS: Final = 200
HIDDEN: Final = 64
SEQUENCES: Final = 4
SEED: Final = 0
GAINS: Final = (1.0, 1.25, 1.5, 2.0)
_LOWEST: Final = 1e-8
_DASHES: Final[Mapping[str, Any]] = {"LSTM, forget bias 0": (0, (5, 2)), "GRU": (0, (2, 1.2))}
"""Of lines that lie close to others."""

_ORDER: Final = (7, 1, 2, 3, 4, 5, 0)

Line: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
Place: TypeAlias = tuple[float, float, float]
"""Of a line's name: the x at which the line is named, and the x and y of the text."""


CELLS: Final[Mapping[str, Callable[[], Recurrent]]] = {
    "sigmoid RNN": lambda: nn.RNN(2, HIDDEN, nonlinearity="sigmoid"),
    "tanh RNN": lambda: nn.RNN(2, HIDDEN),
    "relu RNN, identity": lambda: nn.RNN(2, HIDDEN, nonlinearity="relu", init="identity"),
    "GRU": lambda: nn.GRU(2, HIDDEN),
    "LSTM, forget bias 0": lambda: nn.LSTM(2, HIDDEN, forget_bias=0.0),
    "LSTM, forget bias 1": lambda: nn.LSTM(2, HIDDEN, forget_bias=1.0),
    "LSTM, chrono": lambda: nn.LSTM(2, HIDDEN, init=("chrono", STEPS)),
}


def cell_flows() -> dict[str, GradientFlow]:
    """Each cell as it starts, on the same sequences of the adding problem."""
    return {name: _measured(make) for name, make in CELLS.items()}


def gain_flows() -> dict[str, GradientFlow]:
    """A tanh RNN whose recurrent weights are an orthogonal matrix times each of GAINS."""
    return {f"g = {gain:g}": _measured(lambda gain=gain: _scaled_rnn(gain)) for gain in GAINS}  # type: ignore[misc]


def clipping_runs(steps: int = 150) -> dict[str, Outcome]:
    """The same run twice, a relu RNN on the adding problem, but for clipping; an evaluation after every step."""
    return {
        name: run(
            Experiment(
                task="adding",
                cell="RNN",
                length=STEPS,
                hidden_size=HIDDEN,
                options={"nonlinearity": "relu", "init": "identity"},
                steps=steps,
                batch_size=16,
                optimiser="sgd",
                learning_rate=0.003,
                clip_norm=clip_norm,
                held_out=64,
                evaluations=steps,
                seed=SEED,
            )
        )
        for name, clip_norm in (("not clipped", None), ("clipped to 1", 1.0))
    }


def constant_loss(experiment: Experiment) -> float:
    """Mean squared error of the answer 1, the expected sum, on the sequences that the experiment is scored on."""
    return float((scored_sequences(experiment).target - 1.0).square().mean())


def _measured(make: Callable[[], Recurrent]) -> GradientFlow:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        layer = make()
    batch = Adding(STEPS).batch(SEQUENCES, torch.Generator().manual_seed(SEED))
    return measure(layer, batch.input, sequences=SEQUENCES, seed=SEED)


def _scaled_rnn(gain: float) -> Recurrent:
    layer = nn.RNN(2, HIDDEN, init="orthogonal")
    with torch.no_grad():
        layer.get_parameter("weight_hh_l0").mul_(gain)
    return layer


def reach_picture(flows: Mapping[str, GradientFlow], theme: Theme) -> "Figure":
    """‖∂h_T/∂h_(T−k)‖ against k; of the LSTM that keeps its memory in c, the whole state's norm too."""
    figure, (panel,) = _panels(theme)
    chrono, colour = flows["LSTM, chrono"].worst, _colours(theme)["LSTM, chrono"]
    panel.plot(chrono.lags, chrono.norm.median, ":", color=colour)
    _name(panel, "LSTM, chrono: state (h, c)", (STEPS + 4, 0.42), colour)
    lines = {name: (flow.worst.lags, flow.worst.norm_h.median) for name, flow in flows.items()}
    places = {
        "sigmoid RNN": (8.0, 11.5, 3e-7),
        "GRU": (37.0, 58.0, 6e-6),
        "tanh RNN": (37.0, 58.0, 8e-7),
        "LSTM, forget bias 0": (37.0, 58.0, 1e-7),
        "LSTM, forget bias 1": (70.0, 84.0, 1e-4),
        "LSTM, chrono": (STEPS, STEPS + 4, 0.0019),
        "relu RNN, identity": (STEPS, STEPS + 4, 1.3),
    }
    _lines(panel, lines, places, _colours(theme))
    _level(panel, VANISHING, "1 %", theme)
    panel.set_ylim(_LOWEST, 5)
    panel.set_title(f"What is left of a gradient k steps back, before training: {HIDDEN} units, {STEPS} steps")
    panel.set_xlabel("lag k (steps)")
    panel.set_ylabel("norm of ∂h$_T$/∂h$_{T−k}$ (ratio)")
    return figure


def loss_picture(flows: Mapping[str, GradientFlow], theme: Theme) -> "Figure":
    """‖∂L/∂h_t‖ against t, of a loss on the last state alone; of the LSTM that keeps its memory in c, ‖∂L/∂c_t‖ too."""
    figure, (panel,) = _panels(theme)
    chrono, colour = flows["LSTM, chrono"].worst, _colours(theme)["LSTM, chrono"]
    assert chrono.loss_to_c is not None
    panel.plot(STEPS - chrono.distance, chrono.loss_to_c.median, ":", color=colour)
    _name(panel, "LSTM, chrono: ∂L/∂c$_t$", (40.0, 0.04), colour)
    lines = {name: (STEPS - flow.worst.distance, flow.worst.loss_to_h.median) for name, flow in flows.items()}
    places = {
        "sigmoid RNN": (STEPS - 4.0, STEPS + 6, 1e-5),
        "GRU": (STEPS - 36.0, 136.0, 2e-8),
        "tanh RNN": (STEPS - 33.0, STEPS + 6, 1.2e-7),
        "LSTM, forget bias 0": (STEPS - 22.0, STEPS + 6, 1.2e-6),
        "LSTM, forget bias 1": (126.0, 80.0, 8e-6),
        "LSTM, chrono": (40.0, 40.0, 3e-4),
        "relu RNN, identity": (40.0, 40.0, 1.9),
    }
    _lines(panel, lines, places, _colours(theme))
    panel.set_ylim(_LOWEST, 5)
    panel.set_title("What a loss on the last state sends to the state after each step, before training")
    panel.set_xlabel("step t")
    panel.set_ylabel("norm of ∂L/∂h$_t$, dotted ∂L/∂c$_t$ (of ∂L/∂h$_T$: 1)")
    return figure


def gain_picture(flows: Mapping[str, GradientFlow], theme: Theme) -> "Figure":
    """The same weights, scaled: from vanishing to exploding."""
    figure, (panel,) = _panels(theme)
    look = colours(theme)
    lines = {f"{name}: {flow.verdict}": (flow.worst.lags, flow.worst.mean.median) for name, flow in flows.items()}
    places = {name: (STEPS, STEPS + 4, float(values[-1])) for name, (_, values) in lines.items()}
    _lines(panel, lines, places, dict(zip(lines, look.lines, strict=False)))
    _level(panel, EXPLODING, "exploding: above 100", theme, side="top")
    panel.set_ylim(_LOWEST, 1e15)
    panel.set_title("tanh RNN with W$_{hh}$ = g · (orthogonal matrix): what a random direction is multiplied by")
    panel.set_xlabel("lag k (steps)")
    panel.set_ylabel("mean singular value of ∂h$_T$/∂h$_{T−k}$ (ratio)")
    return figure


def clipping_picture(outcomes: Mapping[str, Outcome], theme: Theme) -> "Figure":
    """Gradient norm and held-out loss after each step of training, with clipping and without."""
    figure, (norms, losses) = _panels(theme, 2)
    look = colours(theme)
    palette = dict(zip(outcomes, (look.lines[1], look.lines[0]), strict=True))
    for panel, name in ((norms, "gradient_norm"), (losses, "held_out_loss")):
        lines: dict[str, Line] = {}
        for label, outcome in outcomes.items():
            steps = np.array([progress.step for progress in outcome.history])
            lines[label] = (steps, np.array([getattr(progress, name) for progress in outcome.history]))
        longest = max(int(steps[-1]) for steps, _ in lines.values())
        places = {label: (longest, longest + 3, float(np.median(values[-9:]))) for label, (_, values) in lines.items()}
        _lines(panel, lines, places, palette)
        panel.set_xlim(0, longest)
        panel.set_xlabel("training step")
    constant = constant_loss(next(iter(outcomes.values())).experiment)
    _level(losses, constant, f"answering 1 always: {constant:.4f}", theme, side="top")
    losses.set_ylim(bottom=0.01)
    _enlarged(losses, outcomes["clipped to 1"], constant, theme)
    norms.set_title("Gradient norm, before clipping")
    norms.set_ylabel("norm of ∂L/∂(all parameters)")
    losses.set_title("Loss on held-out sequences")
    losses.set_ylabel("mean squared error")
    return figure


def _enlarged(panel: Any, outcome: Outcome, constant: float, theme: Theme) -> None:
    """The held-out loss again, on a linear scale, in the panel's empty part: beside the other its swings are flat."""
    look = colours(theme)
    inset = panel.inset_axes((0.42, 0.215, 0.56, 0.25))
    steps = [progress.step for progress in outcome.history]
    inset.plot(steps, [progress.held_out_loss for progress in outcome.history], color=look.lines[0], linewidth=1)
    inset.axhline(constant, color=look.muted, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    inset.set_xlim(0, steps[-1])
    inset.set_ylim(0, 0.6)
    inset.tick_params(labelsize=8)
    inset.set_title("clipped to 1, linear scale", fontsize=8.5, fontweight="normal", pad=3)


def _colours(theme: Theme) -> dict[str, str]:
    """The cells' colours: neighbours in the pictures take those that lie farthest apart."""
    return {name: colours(theme).lines[number] for name, number in zip(CELLS, _ORDER, strict=True)}


def _style(theme: Theme) -> Any:
    """matplotlib's settings."""
    look = colours(theme)
    return {
        "font.size": 10.5,
        "text.color": look.text,
        "axes.labelcolor": look.text,
        "axes.edgecolor": look.muted,
        "axes.facecolor": look.background,
        "axes.titlesize": 11.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": look.grid,
        "grid.linewidth": 0.7,
        "xtick.color": look.muted,
        "ytick.color": look.muted,
        "xtick.labelcolor": look.text,
        "ytick.labelcolor": look.text,
    }


def _panels(theme: Theme, count: int = 1) -> tuple["Figure", Sequence[Any]]:
    """A figure with panels side by side, each with room for names at its right."""
    from matplotlib.figure import Figure

    look = colours(theme)
    width, height = (9.4, 4.9) if count == 1 else (11.4, 4.4)
    figure = Figure(figsize=(width, height), facecolor=look.background)
    left, room = 0.85, 2.0 if count == 1 else 1.15
    each = width / count
    panels = []
    for number in range(count):
        box = ((number * each + left) / width, 0.62 / height, (each - left - room) / width, (height - 1.15) / height)
        panel = figure.add_axes(box)
        panel.set_yscale("log")
        panel.set_xlim(0, STEPS)
        panels.append(panel)
    return figure, panels


def _lines(panel: Any, lines: Mapping[str, Line], places: Mapping[str, Place], palette: Mapping[str, str]) -> None:
    for name, (x, values) in lines.items():
        # A zero has no logarithm: it lies below every axis.
        shown = np.maximum(values, 1e-300)
        panel.plot(x, shown, color=palette[name], linewidth=2, linestyle=_DASHES.get(name, "-"))
        at, text_x, text_y = places[name]
        order = np.argsort(x)
        y = float(np.exp(np.interp(at, x[order], np.log(shown[order]))))
        at_end = at == x[order[-1]]
        _name(panel, name, (text_x, text_y), palette[name], leader=None if at_end else (at, y))


def _name(
    panel: Any, name: str, place: tuple[float, float], colour: str, leader: tuple[float, float] | None = None
) -> None:
    """leader: the point of the line that a thin one goes to from the name; None where the line ends beside it."""
    panel.annotate(
        name.replace("sigmoid ", "sigmoid\n"),
        xy=leader or place,
        xytext=place,
        color=colour,
        va="center",
        fontsize=10,
        annotation_clip=False,
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 2}
        if leader
        else None,
    )


def _level(panel: Any, level: float, text: str, theme: Theme, *, side: Literal["bottom", "top"] = "bottom") -> None:
    """A threshold; side: of the text that lies at the line."""
    muted = colours(theme).muted
    panel.axhline(level, color=muted, linewidth=1, linestyle=(0, (4, 3)), zorder=3)
    panel.annotate(
        text,
        xy=(0.985, level),
        xycoords=panel.get_yaxis_transform(),
        xytext=(0, 1 if side == "bottom" else -5),
        textcoords="offset points",
        ha="right",
        va=side,
        fontsize=8.5,
        color=muted,
    )


def draw_all(folder: Path) -> str:
    """Measures, draws and saves; returns the page's table and the names of the files.

    Raises:
        OutputError: a file cannot be written.
    """
    import matplotlib as mpl

    flows, gains, outcomes = cell_flows(), gain_flows(), clipping_runs()
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for theme in COLOURS:
        pictures: dict[str, Callable[[], Figure]] = {
            "reach": partial(reach_picture, flows, theme),
            "loss": partial(loss_picture, flows, theme),
            "gain": partial(gain_picture, gains, theme),
            "clipping": partial(clipping_picture, outcomes, theme),
        }
        names = {name: folder / f"{name}{'' if theme == 'light' else '-dark'}.png" for name in (*pictures, "lstm")}
        with mpl.rc_context(_style(theme)):  # marks of the axes are made when a figure is saved, so that is in here
            for name, picture in pictures.items():
                save(picture(), names[name])
        save(draw(flows["LSTM, chrono"], theme=theme), names["lstm"])
        made += names.values()
    return "\n".join([flow_table({**flows, **gains}), "", *map(str, made)])


def flow_table(flows: Mapping[str, GradientFlow]) -> str:
    """The pictures' numbers, as rows of Markdown."""
    rows = [
        "| layer | ‖∂s_T/∂s_(T−200)‖ | below 1 % from lag | a step multiplies by | verdict |",
        "|---|---|---|---|---|",
    ]
    for name, flow in flows.items():
        worst = flow.worst
        lag = worst.memory["1 %"]
        cells = [
            name,
            f"{worst.norm.median[-1]:.2g}",
            "–" if lag is None else f"{lag:.1f}",
            f"{np.exp(worst.lyapunov.median[0]):.3f}",
            flow.verdict,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradient_flow", description="Draws the pictures.")
    parser.add_argument("folder", type=Path)
    try:
        print(draw_all(parser.parse_args(arguments).folder))
    except ThroughtimeError as error:
        print(f"benchmarks.gradient_flow: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
