"""`TextClassifier`: the training and prediction of this package as a scikit-learn estimator.

scikit-learn itself is not needed: the estimator brings the few methods that Pipeline, cross_val_score and GridSearchCV
ask for. The code beneath is the command line's, so both give the same probabilities.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.model_dir import ModelDirectory, read_model_directory, write_model_directory
from throughtime.runtime.predictor import Predictor
from throughtime.spec.errors import DataError, ModelError, OptionError
from throughtime.spec.model import LabelKind, ModelConfig

if TYPE_CHECKING:
    from throughtime.flow import GradientFlow

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


class NotFittedError(ModelError, AttributeError):
    """Something was asked of a classifier that only a fitted one has; a ValueError and an AttributeError, as
    scikit-learn's error of this name is."""


class TextClassifier:
    """Classifier of texts: `fit(texts, labels)`, `predict`, `predict_proba`, `score`, `save`, `load`.

    Args:
        recipe: name of a recipe, or path of a YAML configuration.
        overrides: any keys of the recipe, as {"training.epochs": 3}; they win over the parameters below.
        epochs … max_tokens: the recipe's own value where None; see `throughtime recipe show default` for each. Where
            `epochs` is given it is the number of epochs: the recipe's min_steps then adds none. Another `cell`
            than the recipe's has a forget_bias of 1 if it is an LSTM, else none; `pooling="last"` drops segments.
        seed: of everything random; same seed, texts, machine type and number of threads give the same model.
        verbose: show progress on standard error.
    Attributes:
        classes_: (num_classes,) labels as given to fit, sorted; the columns of predict_proba.
        history_: one dict an epoch, as in history.jsonl.
        n_features_in_: 1, the text.

    >>> model = TextClassifier().fit(texts, labels)  # doctest: +SKIP
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
            OptionError: the seed is no whole number from 0 on.
        """
        from throughtime.text.progress import console_reporter
        from throughtime.text.training.estimator import fit_lists
        from throughtime.text.training.reporter import Silent

        texts = _texts(X)
        labels, kind = _labels(y)
        _require_same_length(texts, "y", labels)
        names = None if groups is None else _groups(groups)
        if names is not None:
            _require_same_length(texts, "groups", names)
        with console_reporter() if self.verbose else nullcontext(Silent()) as reporter:
            model = fit_lists(
                texts,
                labels,
                names,
                kind=kind,
                recipe=str(self.recipe),
                changes=self._changes(),
                seed=_seed(self.seed),
                reporter=reporter,
            )
        self._use(model)
        return self

    def predict(self, X: Iterable[str]) -> NDArray[Any]:
        """(n,) most probable class of each text."""
        best = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[best]
        return labels

    def predict_proba(self, X: Iterable[str]) -> NDArray[np.float64]:
        """(n, num_classes), columns in the order of `classes_`."""
        return self._fitted().predict_proba(_texts(X))

    def score(self, X: Iterable[str], y: Iterable[Any], sample_weight: Iterable[float] | None = None) -> float:
        """Mean accuracy on these texts, weighted where weights are given.

        Raises:
            DataError: lengths differ, there are no texts, or the labels are of another type than those of fit; or the
                weights add up to nothing.
        """
        fitted = self._fitted()
        texts, truth = _texts(X), list(y)
        _require_same_length(texts, "y", truth)
        if not texts:
            raise DataError("score needs at least one text, but X is empty")
        kind = _kind(truth)
        if kind != fitted.config.label_kind:
            raise DataError(
                f"y holds labels of type {kind}, but the classifier was fitted on {fitted.config.label_kind}"
            )
        right = [label == true for label, true in zip(fitted.predict(texts), truth, strict=True)]
        weights = None if sample_weight is None else list(sample_weight)
        if weights is not None:
            _require_same_length(texts, "sample_weight", weights)
            if not sum(weights):
                raise DataError("sample_weight adds up to 0, so that no text counts; give a weight above 0 to one")
        return float(np.average(right, weights=weights))

    def gradient_flow(self, X: Iterable[str], y: Iterable[Any], **settings: Any) -> "GradientFlow":
        """How gradients flow through time in the fitted model, on these texts and labels; needs torch.

        Args:
            settings: of `throughtime.flow.measure`.
        Raises:
            DataError: lengths differ, a label that the model does not have, or no text with a token.
            ModelError: the model is a bag of words, which has no recurrence.
            OptionError: a setting with a wrong name or value.
        """
        from throughtime.text.training.flow import directory_flow

        self._fitted()
        return directory_flow(self._model, _texts(X), [str(label) for label in y], **settings)

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
        # By repr, for a value may be an array, which equals nothing as a whole.
        given = {n: v for n, v in self.get_params().items() if repr(v) != repr(defaults[n].default)}
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in given.items())})"

    def __getstate__(self) -> dict[str, Any]:
        # The predictor is made again from the model, and need not be carried.
        return {name: value for name, value in vars(self).items() if name != "_predictor"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if "_model" in state:
            self._predictor = Predictor(self._model)

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
        given = {key: _plain(getattr(self, name)) for name, key in _KEYS.items() if getattr(self, name) is not None}
        if isinstance(given.get("encoder.hidden_size"), int):
            given["encoder.hidden_size"] = [given["encoder.hidden_size"]]
        if self.vectors is not None:
            given["encoder.vectors"] = str(self.vectors)
        return given | {key: _plain(value) for key, value in (self.overrides or {}).items()}

    def _use(self, model: ModelDirectory) -> None:
        self._model = model
        self._predictor = Predictor(model)
        self.classes_ = np.asarray(self._predictor.labels)
        self.history_ = model.history
        self.n_features_in_ = 1

    def _fitted(self) -> Predictor:
        if not hasattr(self, "_predictor"):
            raise NotFittedError("this TextClassifier is not fitted yet; call fit, or load a saved one")
        return self._predictor


def _texts(X: Iterable[str]) -> list[str]:
    if isinstance(X, str | bytes):
        raise DataError("X must be a sequence of strings, but is one string; give [text]")
    if getattr(X, "ndim", 1) != 1:  # the rows of an array are no strings, and those of a data frame are its columns
        raise DataError(f"X must hold one string a text, but has {X.ndim} dimensions; give one column of it")  # type: ignore[attr-defined]
    texts = list(X)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X must hold strings, but X[{place}] is {type(text).__name__}; convert or drop it")
    return [str(text) for text in texts]


def _labels(y: Iterable[Any]) -> tuple[list[str], LabelKind]:
    """Labels as the strings that a model directory keeps, and what they were."""
    values = list(y)
    kind = _kind(values)
    if kind == "float":
        raise DataError("y must hold strings, ints or bools, but holds floats; convert whole numbers with int")
    return [str(value) for value in values], kind


def _kind(values: Sequence[Any]) -> LabelKind:
    """The type that all of these labels have; NumPy's own count as Python's."""
    kinds = [_kind_of(value, place) for place, value in enumerate(values)]
    other = next((place for place, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise DataError(
            f"y must hold labels of one type, but y[0] is {values[0]!r} ({kinds[0]}) and y[{other}] is "
            f"{values[other]!r} ({kinds[other]}); convert them, for instance with str"
        )
    return kinds[0] if kinds else "str"


def _kind_of(value: Any, place: int) -> LabelKind:
    if isinstance(value, str):
        return "str"
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, Integral):
        return "int"
    if isinstance(value, Real):
        return "float"
    raise DataError(
        f"y must hold one label a text, all strings, all ints or all bools, but y[{place}] is {type(value).__name__}"
    )


def _groups(groups: Iterable[Any]) -> list[str]:
    names = []
    for place, group in enumerate(groups):
        if group is None or group != group:  # NaN is what pandas makes of a missing value
            raise DataError(f"groups[{place}] is missing; fill it in, for rows without a group are not one group")
        names.append(str(group))
    return names


def _require_same_length(texts: Sequence[str], name: str, values: Sequence[Any]) -> None:
    if len(texts) != len(values):
        raise DataError(f"X and {name} must have the same length, but {len(texts)} != {len(values)}")


def _seed(seed: Any) -> int:
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise OptionError(f"seed must be a whole number, at least 0, but is {seed!r}")
    return int(seed)


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, which a grid of parameters may hold, as Python's own."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
