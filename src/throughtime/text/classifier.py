"""`TextClassifier`: the training and prediction of this package as a scikit-learn estimator.

scikit-learn itself is not needed: the estimator brings the few methods that Pipeline, cross_val_score and GridSearchCV
ask for. The code beneath is the command line's, so both give the same probabilities.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.model_dir import ModelDirectory, read_model_directory, write_model_directory
from throughtime.runtime.predictor import Predictor
from throughtime.spec.errors import DataError, ModelError, OptionError
from throughtime.spec.model import LabelKind, ModelConfig

_KEYS = {
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "class_weights": "training.class_weights",
    "validation_fraction": "training.validation_fraction",
    "learning_rate": "optimiser.learning_rate",
    "cell": "encoder.cell",
    "hidden_size": "encoder.hidden_size",
    "bidirectional": "encoder.bidirectional",
    "embedding_size": "encoder.embedding_size",
    "vectors": "encoder.vectors",
    "pooling": "head.pooling",
    "tokenizer": "preprocessing.tokenizer",
    "vocabulary_size": "preprocessing.vocabulary_size",
    "max_tokens": "preprocessing.max_tokens",
}
"""Parameters of the estimator that stand for a key of the recipe."""


class TextClassifier:
    """Classifier of texts: `fit(texts, labels)`, `predict`, `predict_proba`, `score`, `save`, `load`.

    Args:
        recipe: name of a recipe, or path of a YAML configuration.
        overrides: any keys of the recipe, as {"training.epochs": 3}; they win over the parameters below.
        epochs … max_tokens: the recipe's own value where None; see `throughtime recipe show default` for each.
        seed: of everything random; same seed, texts and machine type give the same model.
        verbose: show progress on standard error.
    Attributes:
        classes_: (num_classes,) labels as given to fit, sorted; the columns of predict_proba.
        history_: one dict an epoch, as in history.jsonl.
        n_features_in_: 1, the text.

    >>> model = TextClassifier(epochs=3).fit(texts, labels)  # doctest: +SKIP
    >>> model.predict(["A wonderful film."])  # doctest: +SKIP
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        recipe: str = "default",
        *,
        overrides: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        class_weights: str | None = None,
        validation_fraction: float | None = None,
        learning_rate: float | None = None,
        cell: str | None = None,
        hidden_size: int | Sequence[int] | None = None,
        bidirectional: bool | None = None,
        embedding_size: int | None = None,
        vectors: str | Path | None = None,
        pooling: str | None = None,
        tokenizer: str | None = None,
        vocabulary_size: int | None = None,
        max_tokens: int | None = None,
        seed: int = 0,
        verbose: bool = False,
    ) -> None:
        # scikit-learn's rule: a constructor stores its arguments as they are; fit checks them.
        self.recipe = recipe
        self.overrides = overrides
        self.epochs = epochs
        self.batch_size = batch_size
        self.class_weights = class_weights
        self.validation_fraction = validation_fraction
        self.learning_rate = learning_rate
        self.cell = cell
        self.hidden_size = hidden_size
        self.bidirectional = bidirectional
        self.embedding_size = embedding_size
        self.vectors = vectors
        self.pooling = pooling
        self.tokenizer = tokenizer
        self.vocabulary_size = vocabulary_size
        self.max_tokens = max_tokens
        self.seed = seed
        self.verbose = verbose

    def fit(self, X: Iterable[str], y: Iterable[Any], groups: Iterable[Any] | None = None) -> Self:
        """Trains on texts X and labels y.

        Args:
            X: (n,) strings: a list, a NumPy array, a pandas Series.
            y: (n,) labels, all strings, all ints or all bools.
            groups: (n,), optional; equal values are not split between training and validation.
        Raises:
            DataError: X is no sequence of strings, lengths differ, labels of mixed types, or fewer than two classes.
            ConfigError: a parameter or key of the recipe is wrong.
        """
        from throughtime.text.progress import console_reporter
        from throughtime.text.training.estimator import fit_lists
        from throughtime.text.training.reporter import Silent

        texts = _texts(X)
        labels, kind = _labels(y)
        if len(texts) != len(labels):
            raise DataError(f"X and y must have the same length, but {len(texts)} != {len(labels)}")
        names = None if groups is None else [str(group) for group in groups]
        with console_reporter() if self.verbose else nullcontext(Silent()) as reporter:
            model = fit_lists(
                texts,
                labels,
                names,
                kind=kind,
                recipe=self.recipe,
                changes=self._changes(),
                seed=self.seed,
                reporter=reporter,
            )
        self._use(model)
        return self

    def predict(self, X: Iterable[str]) -> NDArray[Any]:
        """(n,) most probable class of each text."""
        best: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return best

    def predict_proba(self, X: Iterable[str]) -> NDArray[np.float64]:
        """(n, num_classes), columns in the order of `classes_`."""
        return self._fitted().predict_proba(_texts(X))

    def score(self, X: Iterable[str], y: Iterable[Any], sample_weight: Iterable[float] | None = None) -> float:
        """Mean accuracy on these texts, weighted where weights are given."""
        right = self.predict(X) == np.asarray(list(y))
        return float(np.average(right, weights=None if sample_weight is None else np.asarray(list(sample_weight))))

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Writes a model directory, as `throughtime train` does.

        Raises:
            OutputError: a model is there and `force` is not given, the disk is full, …
        """
        from throughtime.text.training.card import model_card

        self._fitted()
        model = self._model
        card = model_card(model.config, model.metrics)
        write_model_directory(
            path, model.config, model.tensors, model.tokenizer_json, model.metrics, model.history, card, force=force
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """An estimator around a model directory, ready to predict. Its parameters are the defaults, not the run's.

        Raises:
            ModelError: there is no model, or it is damaged or too new.
        """
        estimator = cls()
        estimator._use(read_model_directory(path))
        return estimator

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Changes constructor arguments.

        Raises:
            OptionError: a name that does not exist.
        """
        for name, value in params.items():
            if name not in self._parameter_names():
                raise OptionError(f"there is no parameter {name!r}; there are {', '.join(self._parameter_names())}")
            setattr(self, name, value)
        return self

    @property
    def config(self) -> ModelConfig:
        """What the fitted model is."""
        return self._fitted().config

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self)).parameters
        given = {n: v for n, v in self.get_params().items() if v is not defaults[n].default}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(one_d_array=True, two_d_array=False, string=True),
        )

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def _changes(self) -> dict[str, Any]:
        given = {key: getattr(self, name) for name, key in _KEYS.items() if getattr(self, name) is not None}
        if isinstance(self.hidden_size, int):
            given["encoder.hidden_size"] = [self.hidden_size]
        if self.vectors is not None:
            given |= {"encoder.vectors": str(self.vectors), "encoder.embedding_init": "vectors"}
        return given | dict(self.overrides or {})

    def _use(self, model: ModelDirectory) -> None:
        self._model = model
        self._predictor = Predictor(model)
        self.classes_ = np.asarray(self._predictor.labels)
        self.history_ = model.history
        self.n_features_in_ = 1

    def _fitted(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise ModelError("this TextClassifier is not fitted yet; call fit, or load a saved one")
        return self._predictor


def _texts(X: Iterable[str]) -> list[str]:
    if isinstance(X, str | bytes):
        raise DataError("X must be a sequence of strings, but is one string; give [text]")
    texts = list(X)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X must hold strings, but X[{place}] is {type(text).__name__}; convert or drop it")
    return [str(text) for text in texts]


def _labels(y: Iterable[Any]) -> tuple[list[str], LabelKind]:
    """Labels as the strings that a model directory keeps, and what they were."""
    values = np.asarray(list(y))
    kinds: dict[str, LabelKind] = {"U": "str", "T": "str", "i": "int", "u": "int", "b": "bool"}
    if values.ndim == 1 and values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
        return [str(value) for value in values], "str"
    if values.ndim != 1 or values.dtype.kind not in kinds:
        raise DataError(
            f"y must hold one label a text, all strings, all ints or all bools, but has shape {values.shape} and type "
            f"{values.dtype}"
        )
    kind = kinds[values.dtype.kind]
    return [str(value) for value in values], kind
