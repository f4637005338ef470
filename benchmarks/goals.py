"""What the native core is to reach, whether a run reached it, and every case in which another contender is faster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contenders import PACKED, PADDED
from benchmarks.external import COMPILED_LOOP
from benchmarks.recomputation import WITHOUT
from benchmarks.results import OURS, Result, readable
from benchmarks.table import table
from benchmarks.variants import LOOP, PLAIN

_CELLS: Final = ("LSTM", "GRU", "RNN")
# Of layers: how many times faster than torch, by cell; ragged training against packed, the rest against torch's best.
_RATIOS: Final = {
    "training/32x256x128x128-ragged": (10, 7, 5),
    "training/64x200x256x256-ragged": (7, 6, 3),
    "training/32x256x128x128-equal": (1.3, 2.2, 2),
    "training/32x100x512x512-equal": (1.0, 2, 1.6),
    "training/1x100x128x128-equal": (2.5, 10, 6),
    "training/8x1000x64x64-equal": (1.2, 8, 6),
    "inference/32x256x128x128-equal": (1.0, 1.7, 1.8),
    "streaming/1x1x128x128-equal": (10, 4, 3),
}
# Of these variants: how many times faster than the loop, by problem; than the compiled loop; and how many times as long
# as the plain layer it may take.
_VARIANTS: Final = (
    *("LSTM-layer_norm", "LSTM-zoneout", "LSTM-recurrent_dropout", "LSTM-peephole"),
    *("GRU-layer_norm", "GRU-zoneout", "GRU-recurrent_dropout"),
)
_LOOP: Final = {"training/32x256x128x128-equal": 4.0, "training/1x100x128x128-equal": 10.0}
_COMPILED_LOOP: Final = 1.5
_TIMES_PLAIN: Final = 1.5
# Of recomputation: how many times less memory, and how many times as long it may take.
_LESS_MEMORY: Final = 5.0
_TIMES_WITHOUT: Final = 1.5
_NO_RIVALS: Final = (PLAIN, WITHOUT)
"""These do less: they are expected to be faster."""

_TEXT_MODEL: Final = {PACKED: 5.0, PADDED: 2.0}
_PERCENT_WATCHING: Final = 2.0
"""Of an epoch: what its look at the gradients through time may take."""

_TEXTS_A_SECOND: Final = 1_500.0
_SECONDS_ALONE: Final = 0.003


@dataclass(frozen=True)
class Goal:
    """A figure that was to be reached. against: the contender that the ratio is to; empty for a figure by itself."""

    case: str
    against: str
    measured: str
    wanted: str
    met: bool


def goals(results: Sequence[Result]) -> list[Goal]:
    """Every goal whose case was measured."""
    return [goal for result in results for goal in _goals_of(result)]


def slower(results: Sequence[Result]) -> list[tuple[str, str, float]]:
    """(case, contender, ratio) wherever another contender is faster than throughtime."""
    rows = [(result.case, name, result.advantage(name)) for result in results for name in result.others]
    return [row for row in rows if row[2] < 1.0 and row[1] not in _NO_RIVALS]


def goal_tables(results: Sequence[Result]) -> str:
    """Goals with what was measured, and the cases that are lost."""
    rows = [[g.case, g.against, g.measured, g.wanted, "yes" if g.met else "NO"] for g in goals(results)]
    parts = [table(["goal", "against", "measured", "wanted", "met"], rows)] if rows else []
    lost = slower(results)
    if lost:
        parts.append(table(["slower than another", "which", "ratio"], [[c, n, f"{r:.2f}"] for c, n, r in lost]))
    elif any(name not in _NO_RIVALS for result in results for name in result.others):
        parts.append("No contender is faster in any case.")
    return "\n\n".join(parts)


def _goals_of(result: Result) -> Iterator[Goal]:
    kind, *rest = result.case.split("/")
    if kind == "layers" and result.others:
        cell, *place = rest
        wanted = _RATIOS.get("/".join(place))
        names = [name for name in result.others if name.startswith("torch")]
        if wanted is not None and names:
            packed = place[0] == "training" and place[1].endswith("-ragged")
            best = PACKED if packed else min(names, key=result.advantage)
            yield _ratio(result, best, wanted[_CELLS.index(cell)])
    elif kind == "variants" and rest[0] in _VARIANTS and "/".join(rest[1:]) in _LOOP:
        if PLAIN in result.others:
            yield _cost(result, PLAIN, _TIMES_PLAIN)
        for name, times in ((LOOP, _LOOP["/".join(rest[1:])]), (COMPILED_LOOP, _COMPILED_LOOP)):
            if name in result.others:
                yield _ratio(result, name, times)
    elif kind == "recompute" and result.others:
        if rest[-1] == "peak-memory":
            yield _ratio(result, WITHOUT, _LESS_MEMORY)
        elif rest[-1] == "seconds":
            yield _cost(result, WITHOUT, _TIMES_WITHOUT)
    elif kind == "text-model":
        for name, ratio in _TEXT_MODEL.items():
            if name in result.others:
                yield _ratio(result, name, ratio)
    elif kind == "training" and result.case.endswith("/gradient-flow-share"):
        yield _figure(result, _PERCENT_WATCHING, "<")
    elif kind == "prediction" and result.case.endswith("/stream"):
        yield _figure(result, _TEXTS_A_SECOND, "≥")
    elif kind == "prediction" and result.case.endswith("/one-text-alone"):
        yield _figure(result, _SECONDS_ALONE, "<")


def _ratio(result: Result, name: str, wanted: float) -> Goal:
    measured = result.advantage(name)
    return Goal(result.case, name, f"{measured:.2f}", f"≥ {wanted:g}", measured >= wanted)


def _cost(result: Result, name: str, allowed: float) -> Goal:
    """How many times as long as another it may take."""
    measured = 1.0 / result.advantage(name)
    return Goal(result.case, name, f"{measured:.2f} × it", f"≤ {allowed:g} × it", measured <= allowed)


def _figure(result: Result, wanted: float, sign: str) -> Goal:
    measured = result.median(OURS)
    met = measured >= wanted if sign == "≥" else measured < wanted
    return Goal(result.case, "", readable(measured, result.unit), f"{sign} {readable(wanted, result.unit)}", met)
