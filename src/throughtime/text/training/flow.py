"""The flow of gradients through time in a text model: the place where `flow`, which knows layers, meets texts."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.flow import GradientFlow, Settings
from throughtime.flow.advice import Remedies
from throughtime.flow.stack import measure_stack
from throughtime.flow.trace import Trace
from throughtime.nn.lengths import Unpadded, check_lengths
from throughtime.nn.state import zero_state
from throughtime.runtime.encoding import TextEncoder
from throughtime.runtime.model_dir import ModelDirectory
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import DataError, ModelError
from throughtime.spec.model import Pooling
from throughtime.text.config import TrainConfig
from throughtime.text.reading.files import shown
from throughtime.text.training.encoder import BagEncoder, RecurrentEncoder, piece_lengths
from throughtime.text.training.model import TextModel

Loss = Callable[[Tensor, Tensor], Tensor]
"""(scores (texts, classes), labels (texts,)) → a scalar, as training minimises it."""


def directory_flow(
    directory: ModelDirectory,
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    report: Callable[[str], None] | None = None,
    threads: int | None = None,
    **settings: Any,
) -> GradientFlow:
    """Measures a trained model on labelled texts.

    L is the mean cross-entropy of the labels, without the label smoothing and class weights of training. Texts without
    a token, which a model never sees, are left out.

    Args:
        labels: the class of each text, by the name that the model directory has.
        report: told the name of each direction of a layer when it is measured.
        threads: of torch while it measures; None: as many as it has.
        settings: of `flow.measure`.
    Raises:
        ModelError: the model is a bag of words, which has no time for gradients to flow through.
        DataError: texts and labels differ in number, a label that the model does not have, or no text with a token.
        OptionError: a setting with a wrong name or value.
    """
    chosen = Settings.read(settings)
    require_recurrence(directory.config.encoder.kind)
    if len(texts) != len(labels):
        raise DataError(f"texts and labels must have the same length, but {len(texts)} != {len(labels)}")
    names = directory.config.labels
    number = {name: place for place, name in enumerate(names)}
    if unknown := [label for label in labels if label not in number]:
        classes = ", ".join(map(shown, names[:10]))
        raise DataError(f"label '{shown(unknown[0])}' is no class of the model, which has {classes}")
    ids = TextEncoder(directory.tokenizer_json, directory.config.preprocessing).encode(texts)
    kept = [place for place, tokens in enumerate(ids) if len(tokens)]
    if not kept:
        raise DataError("no text holds a single token, so there is nothing to measure; give texts with words")
    model = TextModel(directory.config.encoder, directory.config.head, TrainConfig())
    model.load_tensors(directory.tensors)
    empty = len(ids) - len(kept)
    with _torch_threads(threads):
        return text_flow(
            model,
            torch.from_numpy(np.concatenate([ids[place] for place in kept]).astype(np.int64)),
            torch.tensor([len(ids[place]) for place in kept]),
            torch.tensor([number[labels[place]] for place in kept]),
            nn.functional.cross_entropy,
            chosen,
            loss_name="mean cross-entropy of the labels",
            notes=(f"{empty:,} of the texts are empty and left out",) if empty else (),
            report=report,
        )


def text_flow(
    model: TextModel,
    ids: Tensor,
    lengths: Tensor,
    labels: Tensor,
    loss: Loss,
    settings: Settings,
    *,
    loss_name: str,
    notes: tuple[str, ...] = (),
    report: Callable[[str], None] | None = None,
) -> GradientFlow:
    """Measures the recurrent stack of a model in evaluation mode; the model is only read.

    Where the encoder starts afresh every `segment` tokens, each segment is a sequence of its own, and T is its end.

    Args:
        ids: (tokens,) int64, texts end to end. lengths: (texts,), each at least 1. labels: (texts,).
    Raises:
        ModelError: the model is a bag of words.
    """
    encoder = model.encoder
    if isinstance(encoder, BagEncoder):
        require_recurrence("bag")
    assert isinstance(encoder, RecurrentEncoder)
    x, pieces = recurrent_input(encoder, ids, lengths)
    with torch.inference_mode(False):
        rows = Unpadded(pieces, False, ids.device)
        head = copy.deepcopy(model.head).double().eval()

    def loss_of(trace: Trace) -> Tensor:
        scores = head(rows.take(trace.output), lengths)
        return loss(scores, labels)

    layer = encoder.recurrent
    if encoder.segment is not None:
        segmented = (
            f"the model starts afresh every {encoder.segment} tokens: a sequence is a segment of a text, and no "
            "gradient passes from one to the next"
        )
        notes = (segmented, *notes)
    return measure_stack(
        layer.options,
        layer.all_weights,
        x,
        zero_state(layer.options, len(pieces), x),
        check_lengths(pieces, x.shape[0], x.shape[1], x.device),
        loss_of,
        settings,
        model=f"{layer!r} under {model.head.pooling} pooling, {len(lengths):,} texts",
        loss=loss_name,
        remedies=recipe_remedies(layer.options, model.head.pooling),
        notes=notes,
        report=report,
    )


def recipe_remedies(options: LayerOptions, pooling: Pooling) -> Remedies:
    """What a recipe can change, in its keys; a model directory does not say what it was trained with beside these."""
    to_lstm = "encoder.cell=LSTM with encoder.forget_bias={bias:.1f}"
    if options.nonlinearity != "tanh":  # an option of RNN alone
        to_lstm += " and encoder.nonlinearity=tanh"
    is_last = pooling == "last"
    return Remedies(
        clip="lower optimiser.clip_norm or optimiser.learning_rate",
        settle="raise regularisation.weight_decay, or lower optimiser.learning_rate or encoder.embedding_std",
        revive="lower optimiser.learning_rate or optimiser.clip_norm, or set encoder.nonlinearity=tanh",
        gated=to_lstm,
        # Segments and pooling over the last state exclude each other.
        truncate=None if is_last else "take shorter segments, encoder.segment={steps}",
        shrink="raise regularisation.weight_decay, which makes weight_hh smaller",
        tanh="encoder.nonlinearity=tanh" if options.nonlinearity == "sigmoid" else None,
        open=f"take {to_lstm}" if options.cell == "GRU" else "start with encoder.forget_bias={bias:.1f}",
        shortcut="set head.pooling=max+mean, so that the loss reaches every state without the way through time"
        if is_last
        else None,
    )


def recurrent_input(encoder: RecurrentEncoder, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """What the stack reads: (steps, pieces, embedding_size) float64, a piece a text or segment; and their lengths."""
    pieces = lengths if encoder.segment is None else piece_lengths(lengths, encoder.segment)
    with torch.inference_mode(False):
        vectors = nn.functional.embedding(ids, encoder.embedding.weight.detach()).double()
        return Unpadded(pieces, False, ids.device).pad(vectors), pieces


@contextmanager
def _torch_threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_recurrence(kind: str) -> None:
    """Raises:
    ModelError: `kind`, as `EncoderConfig` has it, is a bag of words.
    """
    if kind == "bag":
        raise ModelError(
            "this model is a bag of words (encoder.kind: bag): it has no recurrence, so no gradient flows through "
            "time; train one with encoder.kind: recurrent"
        )
