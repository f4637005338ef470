"""What a measurement gives: numbers, a verdict and advice; as text, as JSON, as a picture."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from throughtime.flow.advice import Facts
from throughtime.flow.gates import GateActivity
from throughtime.flow.spread import Spread
from throughtime.flow.verdict import WORST_LAST, Finding, Verdict, thresholds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from throughtime.flow.themes import Theme

_INFINITE: Final = {math.inf: "Infinity", -math.inf: "-Infinity"}
_SPREADS: Final = ("loss_to_h", "loss_to_c", "norm", "mean", "norm_h", "mean_h", "spectral_radius", "lyapunov")


@dataclass(frozen=True)
class DirectionFlow:
    """Gradients through time in one direction of one layer, whose state s_t is h_t, or the pair (h_t, c_t).

    Time is the direction's own: a reverse direction's last step, T, is the sequence's first. Derivatives of states are
    those through the direction's own recurrence.

    Attributes:
        layer, reverse: which one.
        distance: (steps,), 0, 1, …: steps from t to T.
        loss_to_h, loss_to_c: norms of ∂L/∂h_t and ∂L/∂c_t at these; the latter None where there is no c.
        lags: (lags,), k = 0, 1, …, to the length of the longest sequence.
        norm, mean: the largest and the root-mean-square singular value of ∂s_T/∂s_{T-k} at these; of an even number of
            sequences the median of the former is the lower of the middle two, of the latter the upper.
        norm_h, mean_h: the same of ∂h_T/∂h_{T-k} with c_{T-k} held; equal to the former where s is h.
        exact: whether they come from the products of Jacobians, or from iteration (see `flow.lags`).
        steps, spectral_radius: largest |eigenvalue| of ∂s_t/∂s_{t-1} at some steps, counted as distances, over the
            sequences that have them.
        lyapunov: each sequence's leading exponents, falling, in nats a step.
        gates: activity of each gate.
        memory: {"1/e": lag, "1 %": lag} from which on the median norm stays below; None where it does not.
        finding: verdict and reason; they, memory and facts are read from lags that half of the sequences reach.
    """

    layer: int
    reverse: bool
    distance: NDArray[np.int64]
    loss_to_h: Spread
    loss_to_c: Spread | None
    lags: NDArray[np.int64]
    norm: Spread
    mean: Spread
    norm_h: Spread
    mean_h: Spread
    exact: bool
    steps: NDArray[np.int64]
    spectral_radius: Spread
    lyapunov: Spread
    gates: tuple[GateActivity, ...]
    memory: Mapping[str, float | None]
    finding: Finding

    @property
    def name(self) -> str:
        """As in "layer 0, reverse"."""
        return f"layer {self.layer}, {'reverse' if self.reverse else 'forward'}"

    @property
    def facts(self) -> Facts:
        """What advice is drawn from."""
        highest = int(np.argmax(self.mean.median[: self.norm.shared]))
        return Facts(
            verdict=self.finding.verdict,
            longest=int(self.lags[self.norm.shared - 1]),
            growth=float(self.mean.median[highest]),
            growth_lag=int(self.lags[highest]),
            radius=float(np.median(self.spectral_radius.median)),
            exponent=float(self.lyapunov.median[0]),
            gates=self.gates,
        )

    @property
    def severity(self) -> tuple[int, float]:
        """Grows from one verdict to the next worse; within one, with what a gradient grows or, of others, loses."""
        verdict = self.finding.verdict
        amount = self.facts.growth if verdict == "exploding" else -float(self.norm.median[self.norm.shared - 1])
        return WORST_LAST.index(verdict), amount

    def as_dict(self) -> dict[str, Any]:
        """Everything, by name, in Python's own types."""
        return {
            "layer": self.layer,
            "direction": "reverse" if self.reverse else "forward",
            "verdict": self.finding.verdict,
            "reason": self.finding.reason,
            "memory": dict(self.memory),
            "exact": self.exact,
            "distance": self.distance.tolist(),
            "lags": self.lags.tolist(),
            "steps": self.steps.tolist(),
            **{name: spread.as_dict() if (spread := getattr(self, name)) is not None else None for name in _SPREADS},
            "gates": {gate.name: gate.as_dict() for gate in self.gates},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`."""
        spreads: dict[str, Any] = {
            name: None if values[name] is None else Spread.from_dict(values[name]) for name in _SPREADS
        }
        places: dict[str, Any] = {
            name: np.array(values[name], dtype=np.int64) for name in ("distance", "lags", "steps")
        }
        return cls(
            layer=values["layer"],
            reverse=values["direction"] == "reverse",
            exact=values["exact"],
            gates=tuple(GateActivity(name, **gate) for name, gate in values["gates"].items()),
            memory=values["memory"],
            finding=Finding(values["verdict"], values["reason"]),
            **places,
            **spreads,
        )


@dataclass(frozen=True)
class GradientFlow:
    """How gradients flow through time in a stack of recurrent layers, for one batch. `print` it, or `plot` it.

    Attributes:
        model: what was measured.
        loss: what L is. loss_value: its value.
        sequences: in the batch; `jacobian_sequences` of them, the longest, are behind all norms of Jacobians.
        seq_len: steps of the longest.
        directions: an entry for each direction of each layer.
        advice: what to do about the worst of them, from its numbers.
        notes: what a reader must know of this measurement.
    """

    model: str
    loss: str
    loss_value: float
    sequences: int
    jacobian_sequences: int
    seq_len: int
    directions: tuple[DirectionFlow, ...]
    advice: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> DirectionFlow:
        """The direction whose verdict is the model's."""
        return worst(self.directions)

    @property
    def verdict(self) -> Verdict:
        """ "healthy", "vanishing", "saturated" or "exploding"."""
        return self.worst.finding.verdict

    @property
    def reason(self) -> str:
        """The numbers and the threshold behind the verdict, in words."""
        return self.worst.finding.reason

    def to_dict(self) -> dict[str, Any]:
        """Everything, by name, in Python's own types; numbers that are not finite are kept as such."""
        return {
            "model": self.model,
            "verdict": self.verdict,
            "reason": self.reason,
            "advice": list(self.advice),
            "notes": list(self.notes),
            "loss": {"name": self.loss, "value": self.loss_value},
            "sequences": self.sequences,
            "jacobian_sequences": self.jacobian_sequences,
            "seq_len": self.seq_len,
            "thresholds": thresholds(),
            "directions": [direction.as_dict() for direction in self.directions],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON. Numbers that it lacks: "Infinity" and "-Infinity" are strings, NaN is null."""
        return json.dumps(_each(_word, self.to_dict()), indent=1, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`: to draw what was measured long ago."""
        values = _each(_number, json.loads(text))
        return cls(
            model=values["model"],
            loss=values["loss"]["name"],
            loss_value=math.nan if (value := values["loss"]["value"]) is None else value,
            sequences=values["sequences"],
            jacobian_sequences=values["jacobian_sequences"],
            seq_len=values["seq_len"],
            directions=tuple(DirectionFlow.from_dict(direction) for direction in values["directions"]),
            advice=tuple(values["advice"]),
            notes=tuple(values["notes"]),
        )

    def plot(self, path: Path | str | None = None, *, theme: "Theme" = "light") -> "Figure":
        """Draws the flow, and writes it to `path` (.png, .svg, .pdf) if one is given; see `flow.plot.draw`.

        Raises:
            OptionError: matplotlib is not installed, or a theme or ending that does not exist.
            OutputError: the file cannot be written.
        """
        from throughtime.flow.plot import draw, save

        figure = draw(self, theme=theme)
        if path is not None:
            save(figure, path)
        return figure

    def __str__(self) -> str:
        from throughtime.flow.table import text

        return text(self)


def worst(directions: Sequence[DirectionFlow]) -> DirectionFlow:
    """The first of those with the highest severity."""
    return max(directions, key=lambda direction: direction.severity)


def _each(change: Callable[[Any], Any], value: Any) -> Any:
    """`value` with `change` applied to whatever is no dict or list, at any depth."""
    if isinstance(value, dict):
        return {key: _each(change, entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_each(change, entry) for entry in value]
    return change(value)


def _word(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else _INFINITE[value]


def _number(value: Any) -> Any:
    return next((number for number, word in _INFINITE.items() if word == value), value)
