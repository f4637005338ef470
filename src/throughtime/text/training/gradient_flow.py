"""How gradients flow through time in a text model: its recurrent stack on real texts, under its own loss."""

import copy
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.flow.measure import as_float64
from throughtime.flow.result import GradientFlow
from throughtime.flow.settings import Settings
from throughtime.flow.stack import measure_stack
from throughtime.flow.trace import Trace
from throughtime.nn.lengths import Unpadded, check_lengths
from throughtime.nn.state import zero_state
from throughtime.runtime.encoding import TextEncoder
from throughtime.runtime.model_dir import ModelDirectory
from throughtime.spec.errors import DataError, OptionError
from throughtime.text.encoded import Corpus
from throughtime.text.recipe import load_recipe
from throughtime.text.training.encoder import RecurrentEncoder, piece_lengths
from throughtime.text.training.model import TextModel

_WATCHED_TEXTS: Final = 8
_CHEAP: Final[dict[str, Any]] = {"sequences": 2, "exponents": 1, "samples": 1, "exact": False}


def measure_directory(
    directory: ModelDirectory, texts: Sequence[str], labels: Sequence[str], **settings: Any
) -> GradientFlow:
    """Measures the model of a directory on labelled texts; texts without tokens are left out.

    Args:
        labels: as strings, classes of the model.
        settings: see `flow.settings.Settings`.
    Raises:
        OptionError: a model that has no time (kind "bag"), or a setting that does not exist.
        DataError: a label that is no class of the model, or no text with a token.
    """
    config = directory.config
    model = TextModel(config.encoder, config.head, load_recipe("default"))
    model.load_tensors(dict(directory.tensors))
    encoded = TextEncoder(directory.tokenizer_json, config.preprocessing).encode(texts)
    number = {name: place for place, name in enumerate(config.labels)}
    for place, label in enumerate(labels):
        if label not in number:
            known = ", ".join(config.labels[:10])
            raise DataError(f"label {label!r} of text {place} is no class of the model ({known})")
    pairs = [(ids, number[label]) for ids, label in zip(encoded, labels, strict=True) if len(ids)]
    if not pairs:
        raise DataError("none of the texts has a token: give texts that have")
    return measure_model(model, [ids for ids, _ in pairs], [label for _, label in pairs], **settings)


def measure_model(model: TextModel, ids: Sequence[Any], labels: Sequence[int], **settings: Any) -> GradientFlow:
    """Measures a torch model on token ids, one array of at least one id a text, and the numbers of their classes.

    A recurrence that starts afresh every so many tokens is measured as that: each segment is a sequence.
    """
    encoder = model.encoder
    if not isinstance(encoder, RecurrentEncoder):
        raise OptionError("a bag of words has no time for gradients to flow through: diagnose a recurrent model")
    layer, lengths = encoder.recurrent, torch.tensor([len(text) for text in ids])
    pieces = lengths if encoder.segment is None else piece_lengths(lengths, encoder.segment)
    tokens = torch.from_numpy(np.concatenate([np.asarray(text, dtype=np.int64) for text in ids]))
    rows = Unpadded(pieces, False, tokens.device)
    x = rows.pad(as_float64(encoder.embedding.weight)[tokens])
    head = copy.deepcopy(model.head).double().eval()
    target = torch.tensor(list(labels))

    def loss_of(trace: Trace) -> Tensor:
        return nn.functional.cross_entropy(head(rows.take(trace.output), lengths), target)

    notes = [] if encoder.segment is None else [f"the recurrence starts afresh every {encoder.segment} tokens"]
    return measure_stack(
        layer.options,
        layer.all_weights,
        x,
        zero_state(layer.options, len(pieces), x),
        check_lengths(pieces, x.shape[0], x.shape[1], x.device),
        loss_of,
        Settings.read(settings),
        model=repr(layer),
        loss=f"cross-entropy of {len(ids)} texts, mean",
        notes=tuple(notes),
    )


class FlowWatch:
    """Measures the same few texts at the end of each epoch, cheaply, and says when gradients begin to fade or explode.

    Its cost is a fraction of a second, whatever the size of the data.
    """

    def __init__(self, corpus: Corpus, rows: np.ndarray) -> None:
        rows = rows[corpus.lengths[rows] > 0][:_WATCHED_TEXTS]
        self._ids = [corpus.tokens(row).copy() for row in rows]
        self._labels = [int(corpus.labels[row]) for row in rows]
        self._before: str | None = None

    def measure(self, model: TextModel) -> GradientFlow | None:
        """None for a model without time, and where there are no texts, or weights that are not finite."""
        if not self._ids or not isinstance(model.encoder, RecurrentEncoder):
            return None
        try:
            return measure_model(model, self._ids, self._labels, **_CHEAP)
        except OptionError:
            return None

    def onset(self, flow: GradientFlow) -> str | None:
        """What to say if gradients have begun to fade or to explode since the measurement before."""
        began = flow.verdict in ("vanishing", "exploding") and self._before not in (None, flow.verdict)
        self._before = flow.verdict
        return f"gradients through time are {flow.verdict} now: {flow.reason}" if began else None
