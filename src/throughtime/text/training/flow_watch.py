"""A run that looks at how gradients flow through time in its model, and says when they begin to fade or to explode."""

import math
from typing import Final

import numpy as np
import torch

from throughtime.flow.gradients import gradient_norms
from throughtime.flow.memory import memory_length
from throughtime.flow.spread import Spread
from throughtime.flow.trace import DirectionTrace, run
from throughtime.flow.verdict import EXPLODING, VANISHING
from throughtime.nn.lengths import check_lengths
from throughtime.nn.state import zero_state
from throughtime.spec.errors import OptionError
from throughtime.text.encoded import Corpus
from throughtime.text.training.encoder import RecurrentEncoder
from throughtime.text.training.flow import recurrent_input
from throughtime.text.training.model import TextModel

_WATCHED_TEXTS: Final = 4
_DIRECTIONS: Final = 4


class FlowWatch:
    """Looks at the flow through time at the end of each epoch, on the same few texts, and says when it begins to fail.

    Gradients start in the last state of each direction, along a few random directions of length 1; one pass forward
    over a handful of texts and a few back, where `measure` does many. The root mean square of what they are multiplied
    by estimates the mean singular value of ∂s_T/∂s_(T-k); times the root of the state's size, its Frobenius norm. The
    norm that `measure` tells, the largest singular value, is at most that norm, and at long lags, where one direction
    is left, about it. So a run and `diagnose` judge by the same thresholds, a run from an estimate: of few directions
    it may be half the norm. (Gradients of c are total ones, h included.)
    """

    def __init__(self, corpus: Corpus, rows: np.ndarray) -> None:
        rows = rows[corpus.lengths[rows] > 0][:_WATCHED_TEXTS]
        texts = [torch.from_numpy(corpus.tokens(row).astype(np.int64)) for row in rows]
        self._ids = torch.cat(texts) if texts else torch.zeros(0, dtype=torch.int64)
        self._lengths = torch.tensor([len(text) for text in texts])
        self._before: dict[str, str] = {}

    def measure(self, model: TextModel) -> dict[str, dict[str, float | None]] | None:
        """For each direction of each layer: "norm", the Frobenius norm at the longest lag that at least half of the
        sequences reach, "highest", the mean singular value where it is highest up to there, and "memory", the lag from
        which on that norm stays below 1 %, None where it does not. Medians over the sequences that have a lag; of an
        even number the lower of the middle two, for "highest" the upper, as `flow` has it.

        None for a model without time, and where there are no texts, or weights that are not finite.
        """
        if not len(self._ids) or not isinstance(model.encoder, RecurrentEncoder):
            return None
        layer, (x, pieces) = model.encoder.recurrent, recurrent_input(model.encoder, self._ids, self._lengths)
        start, ragged = (
            zero_state(layer.options, len(pieces), x),
            check_lengths(pieces, x.shape[0], x.shape[1], x.device),
        )
        try:
            with torch.enable_grad():
                trace = run(layer.options, layer.all_weights, x, start, ragged)
                found = [self._back(direction) for direction in trace.directions]
        except OptionError:  # not finite: the watch over steps has said so
            return None
        return {f"layer {t.steps.layer}, {'reverse' if t.steps.reverse else 'forward'}": f for t, f in found}

    @staticmethod
    def _back(direction: DirectionTrace) -> tuple[DirectionTrace, dict[str, float | None]]:
        ends = enumerate(direction.lengths.tolist())
        last = torch.stack([torch.cat([part[row] for part in direction.states[length]]) for row, length in ends])
        generator, size = torch.Generator().manual_seed(0), last.shape[1]
        squares = [torch.zeros(()) for _ in direction.drive]
        for _ in range(_DIRECTIONS):
            toward = torch.randn(size, generator=generator, dtype=torch.float64)
            [parts] = gradient_norms((last @ (toward / toward.norm())).sum(), [direction], keep_graph=True)
            found = [torch.stack(step).square().sum(0) for step in zip(*parts, strict=True)]
            squares = [total + square for total, square in zip(squares, found, strict=True)]
        means = [(total / _DIRECTIONS).sqrt() for total in squares]
        lower, upper = Spread.of(means), Spread.of(means, upper=True)
        norm, highest = lower.median[: lower.shared] * math.sqrt(size), float(upper.median[: lower.shared].max())
        memory = memory_length(np.arange(len(norm)), norm, VANISHING)
        values = {"norm": float(norm[-1]), "highest": highest, "memory": memory}
        return direction, {name: v if v is None or math.isfinite(v) else None for name, v in values.items()}

    def state_dict(self) -> dict[str, dict[str, str]]:
        """What the next measurement is compared with: part of a run's state, or a resumed run would miss an onset."""
        return {"before": dict(self._before)}

    def load_state_dict(self, state_dict: dict[str, dict[str, str]]) -> None:
        self._before = dict(state_dict["before"])

    def onset(self, flow: dict[str, dict[str, float | None]]) -> list[str]:
        """What to say: where gradients have begun to fade or to explode since the measurement before."""
        said = []
        for name, values in flow.items():
            highest, norm = values["highest"], values["norm"]
            exploding = highest is None or highest > EXPLODING
            state = "explode" if exploding else "vanish" if norm is not None and norm < VANISHING else "pass"
            if state != "pass" and self._before.get(name, state) != state:
                value = highest if exploding else norm
                what, limit = ("mean singular value", f"> {EXPLODING:g}") if exploding else ("norm", f"< {VANISHING:g}")
                where = "" if exploding else " at the longest lag"
                number = math.inf if value is None else value
                said.append(f"{name}: gradients through time now {state} ({what} {number:.3g}{where}; {limit})")
            self._before[name] = state
        return said
