"""A run that looks at how gradients flow through time in its model, and says when they begin to fade or to explode."""

import math
from typing import Final

import numpy as np
import torch

from throughtime.flow.gradients import gradient_norms
from throughtime.flow.memory import memory_length
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


class FlowWatch:
    """Looks at the flow through time at the end of each epoch, on the same few texts, and says when it begins to fail.

    What a gradient that starts in the last state of each direction, in one random direction of length 1, is multiplied
    by on its way back: one pass forward and back over a handful of texts, where `measure` does many.
    """

    def __init__(self, corpus: Corpus, rows: np.ndarray) -> None:
        rows = rows[corpus.lengths[rows] > 0][:_WATCHED_TEXTS]
        texts = [torch.from_numpy(corpus.tokens(row).astype(np.int64)) for row in rows]
        self._ids = torch.cat(texts) if texts else torch.zeros(0, dtype=torch.int64)
        self._lengths = torch.tensor([len(text) for text in texts])
        self._before: dict[str, str] = {}

    def measure(self, model: TextModel) -> dict[str, dict[str, float | None]] | None:
        """For each direction of each layer: "norm", what the gradient is multiplied by over the longest lag, "highest"
        over any, and "memory", the lag from which on it stays below 1 %, None where it does not.

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
        size = direction.states[0][0].shape[1]
        toward = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        last = [direction.states[length][0][row] for row, length in enumerate(direction.lengths.tolist())]
        loss = (torch.stack(last) @ (toward / toward.norm())).sum()
        [parts] = gradient_norms(loss, [direction])
        norm = np.array([float(torch.stack(step).square().sum(0).sqrt().median()) for step in zip(*parts, strict=True)])
        lags = np.arange(len(norm))
        values = {"norm": float(norm[-1]), "highest": float(norm.max()), "memory": memory_length(lags, norm, VANISHING)}
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
                limit = f"> {EXPLODING:g}" if exploding else f"< {VANISHING:g} at the longest lag"
                said.append(f"{name}: gradients through time now {state} (times {value or math.inf:.3g}; {limit})")
            self._before[name] = state
        return said
