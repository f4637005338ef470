"""A trained model, ready to use: texts in, labels and probabilities out. No torch."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.classifier import Classifier
from throughtime.runtime.encoding import TextEncoder, TokenIds
from throughtime.runtime.model_dir import ModelDirectory, read_model_directory
from throughtime.runtime.workers import Workers
from throughtime.spec.errors import DataError, ModelError, OptionError
from throughtime.spec.model import LabelKind, ModelConfig

Label: TypeAlias = str | int | float | bool
Portion: TypeAlias = tuple[list[str], NDArray[np.float64]]
"""Texts, and the probability of each class for each: (len(texts), num_classes)."""
_Workers: TypeAlias = Workers[Sequence[TokenIds], NDArray[np.float64]]

_TOKENS_AT_ONCE: Final = 1 << 14
"""Tokens run together: more are not faster, and their activations would leave the processor's caches."""
_TEXTS_AT_ONCE: Final = 2048
_CHARACTERS_AT_ONCE: Final = 1 << 23
"""Texts whose token ids are held together, and sorted by length before batches are cut: up to either bound."""


class Predictor:
    """Labels and probabilities from a model directory.

    On the native core a text's probabilities are the same bits alone, in any batch, in any order, and on any number of
    threads; without it (`throughtime.kernels.available`), they may differ in the last of them.

    >>> Predictor.load("model").predict(["A wonderful film."])  # doctest: +SKIP
    ['pos']
    """

    def __init__(self, model: ModelDirectory) -> None:
        self._model = model
        self._config = model.config
        self._encoder = TextEncoder(model.tokenizer_json, model.config.preprocessing)
        if self._encoder.vocabulary_size > model.config.encoder.vocabulary_size:
            raise ModelError(
                f"tokenizer.json has {self._encoder.vocabulary_size} tokens, but the model was trained for "
                f"{model.config.encoder.vocabulary_size}: restore it from a copy, or train again"
            )
        self._classifier = Classifier(model.config, model.tensors)
        self._labels = [typed_label(name, model.config.label_kind) for name in model.config.labels]

    @classmethod
    def load(cls, path: Path | str) -> "Predictor":
        """Read a model directory.

        Raises:
            ModelError: there is none, or it is damaged or too new; the message names the file and the remedy.
        """
        model = read_model_directory(path)
        try:
            return cls(model)
        except ModelError as error:
            raise ModelError(f"model directory {path}: {error}") from error

    def __repr__(self) -> str:
        encoder = self._config.encoder
        kind = f"{encoder.cell} {list(encoder.hidden_size)}" if encoder.kind == "recurrent" else encoder.kind
        return f"Predictor({kind}, vocabulary of {encoder.vocabulary_size:,}, labels {self._labels!r})"

    def __reduce__(self) -> tuple[type["Predictor"], tuple[ModelDirectory]]:
        """A copy, also one in another process, is made anew of the same model."""
        return type(self), (self._model,)

    @property
    def config(self) -> ModelConfig:
        return self._config

    @property
    def labels(self) -> list[Label]:
        """The classes, in the order of the columns of `predict_proba`, as the Python type they had in training."""
        return list(self._labels)

    def predict(self, texts: Sequence[str]) -> list[Label]:
        """The most probable class of each text.

        Raises:
            DataError: `texts` is one string or a table, or holds something that is no string.
        """
        return [self._labels[best] for best in self.predict_proba(texts).argmax(axis=1)]

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probability of each class for each text, (len(texts), num_classes), in the order of the texts.

        A text without tokens (empty, white space only) gets the shares of the classes among the training texts.

        Raises:
            DataError: `texts` is one string or a table, or holds something that is no string.
        """
        chunks = [probabilities for _, probabilities in self.stream(texts, ahead=True)]
        return np.concatenate(chunks) if chunks else np.empty((0, len(self._labels)))

    def stream(self, texts: Iterable[str], *, at_once: int = _TEXTS_AT_ONCE, ahead: bool = False) -> Iterator[Portion]:
        """`predict_proba` of any number of texts in bounded memory, as portions of texts with their probabilities.

        Args:
            at_once: the most texts in a portion; fewer where they are long.
            ahead: read and tokenise a portion while threads work on the one before it. Faster where texts are many, but
                no portion comes before the next is read: not for texts that someone is still writing.
        Raises:
            DataError: `texts` is one string or a table, or holds something that is no string (this when it is met).
            OptionError: at_once is no integer of at least 1.
        """
        if not isinstance(at_once, int | np.integer) or isinstance(at_once, bool) or at_once < 1:
            raise OptionError(f"at_once must be an integer of at least 1, but is {at_once!r}")
        _require_texts(texts)
        return self._stream(texts, at_once, ahead)

    def _stream(self, texts: Iterable[str], at_once: int, ahead: bool) -> Iterator[Portion]:
        waiting: Callable[[], Portion] | None = None
        portions = _portions(texts, at_once)
        with Workers(self._classifier.probabilities) as workers:
            while True:
                try:
                    portion = next(portions, None)
                    started = None if portion is None else self._start(portion, workers)
                except Exception:
                    if waiting is not None:
                        yield waiting()
                    raise
                if waiting is not None:
                    yield waiting()
                if started is None:
                    return
                waiting = started if ahead else None
                if not ahead:
                    yield started()

    def _start(self, portion: list[str], workers: _Workers) -> Callable[[], Portion]:
        encoded = self._encoder.encode(portion)
        batches = _batches([len(ids) for ids in encoded], workers)
        finished = workers.start([[encoded[row] for row in rows] for rows in batches])

        def finish() -> Portion:
            result = np.empty((len(portion), len(self._labels)))
            for rows, probabilities in zip(batches, finished(), strict=True):
                result[rows] = probabilities
            return portion, result

        return finish


def _require_texts(texts: Iterable[str]) -> None:
    """Refuses what is no list of texts but can be iterated over like one."""
    kind = type(texts).__name__
    if isinstance(texts, str | bytes):
        raise DataError("texts must be a list of strings, but is one string: give [text]")
    if isinstance(texts, Mapping) or hasattr(texts, "columns"):
        raise DataError(
            f"texts must be a list of strings, but is a {kind}: give its column of texts, as in data['text']"
        )
    try:
        iter(texts)
    except TypeError:
        raise DataError(f"texts must be a list of strings, but is {kind}") from None


def _portions(texts: Iterable[str], at_once: int) -> Iterator[list[str]]:
    portion: list[str] = []
    characters = 0
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} must be a string, but is {type(text).__name__}: convert or remove it first")
        portion.append(text)
        characters += len(text)
        if len(portion) == at_once or characters >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def typed_label(name: str, kind: LabelKind) -> Label:
    """A label as the Python type that the user's labels had.

    Raises:
        ModelError: the name cannot be read as that type.
    """
    try:
        if kind == "int":
            return int(name)
        if kind == "float":
            return float(name)
        if kind == "bool":
            return {"true": True, "false": False}[name.lower()]
    except (ValueError, KeyError) as error:
        raise ModelError(f"label {name!r} of the model is no {kind}: train again") from error
    return name


def _batches(lengths: Sequence[int], workers: _Workers) -> list[NDArray[np.intp]]:
    """Rows of similar length together, at most about `_TOKENS_AT_ONCE` tokens a batch.

    Batches that workers share are as many for each of them, and all of about the same size.
    """
    tokens = sum(lengths)
    count = -(-tokens // _TOKENS_AT_ONCE)
    if count < 2:
        return [np.arange(len(lengths))]
    if workers.share(count):
        count = -(-count // workers.count) * workers.count
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(np.array(lengths)[order])
    first = np.searchsorted(ends, tokens * np.arange(1, count) / count)
    return [rows for rows in np.split(order, first) if len(rows)]
