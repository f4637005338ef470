"""How good probabilities are, given the true labels: accuracy, F1, calibration, confusion. NumPy only."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.errors import ShapeError

CALIBRATION_BINS: Final = 15
_LEAST_PROBABILITY: Final = float(np.finfo(np.float64).eps)
"""Probabilities are raised to this before the logarithm, as scikit-learn does."""


@dataclass(frozen=True)
class ClassScores:
    """One class: of the texts given this label, the share that has it (precision); of those that have it, the share
    found (recall); their harmonic mean; and how many have it. A share of nothing is 0."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """Texts whose highest probability lies in (lower, upper]: their number, its mean, and the share that is right."""

    lower: float
    upper: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Scores:
    """What `score` finds.

    Args:
        confusion: [true class][predicted class] → texts.
        log_loss: mean of −ln p(true class).
        brier: mean over texts of Σ over classes (p − [true])²; between 0 and 2.
        calibration_error: expected calibration error: mean over texts of |accuracy − confidence| of the text's bin
            (Guo et al. 2017), in 15 bins of equal width.
        reliability: those bins, the empty ones left out.
    """

    count: int
    labels: tuple[str, ...]
    accuracy: float
    macro_f1: float
    weighted_f1: float
    log_loss: float
    brier: float
    calibration_error: float
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    reliability: tuple[CalibrationBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON holds it; classes by name."""
        return {
            "count": self.count,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "weighted_f1": self.weighted_f1,
            "log_loss": self.log_loss,
            "brier": self.brier,
            "calibration_error": self.calibration_error,
            "classes": {name: vars(scores).copy() for name, scores in zip(self.labels, self.classes, strict=True)},
            "confusion": {
                "labels": list(self.labels),
                "rows_true_columns_predicted": [list(row) for row in self.confusion],
            },
            "reliability": [vars(entry).copy() for entry in self.reliability],
        }


def score(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], names: tuple[str, ...]) -> Scores:
    """Scores of probabilities (n, num_classes) against true classes (n,), integers below num_classes.

    Macro F1 is the plain mean over the classes that occur or are predicted, as scikit-learn has it; weighted F1 weighs
    a class by its support.

    Raises:
        ShapeError: no texts, shapes that do not fit each other, or a class beyond the columns.
    """
    count, num_classes = len(labels), len(names)
    if count == 0 or probabilities.shape != (count, num_classes):
        raise ShapeError(
            f"probabilities must have shape (texts, classes) = ({count}, {num_classes}), with at least one text, "
            f"but are {probabilities.shape}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ShapeError(f"labels must be in 0 … {num_classes - 1}, but reach {labels.min()} … {labels.max()}")
    labels = labels.astype(np.intp)  # of a narrow type, a place in the confusion matrix would overflow
    probabilities = probabilities.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    confusion = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes)
    support, hits = confusion.sum(axis=1), confusion.diagonal()
    precision, recall = _ratio(hits, confusion.sum(axis=0)), _ratio(hits, support)
    met = support + confusion.sum(axis=0)
    f1 = _ratio(2 * hits, met)
    of_truth = probabilities[np.arange(count), labels]
    squares = (probabilities**2).sum(axis=1) - 2 * of_truth + 1
    reliability = _reliability(probabilities.max(axis=1), predicted == labels)
    return Scores(
        count=count,
        labels=names,
        accuracy=float(hits.sum() / count),
        macro_f1=float(f1[met > 0].mean()),
        weighted_f1=float(f1 @ support / count),
        log_loss=float(-np.log(np.clip(of_truth, _LEAST_PROBABILITY, 1)).mean()),
        brier=float(squares.mean()),
        calibration_error=sum(entry.count * abs(entry.accuracy - entry.confidence) for entry in reliability) / count,
        classes=tuple(
            ClassScores(*numbers)
            for numbers in zip(precision.tolist(), recall.tolist(), f1.tolist(), support.tolist(), strict=True)
        ),
        confusion=tuple(tuple(int(texts) for texts in row) for row in confusion),
        reliability=reliability,
    )


def _reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    mean_confidence = _ratio(np.bincount(bins, confidence, CALIBRATION_BINS), counts)
    accuracy = _ratio(np.bincount(bins, right, CALIBRATION_BINS), counts)
    return tuple(
        CalibrationBin(k / CALIBRATION_BINS, (k + 1) / CALIBRATION_BINS, *numbers)
        for k, numbers in enumerate(zip(counts.tolist(), mean_confidence.tolist(), accuracy.tolist(), strict=True))
        if numbers[0]
    )


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """part / whole, 0 where the whole is 0."""
    result = np.zeros(len(whole))
    np.divide(part, whole, out=result, where=whole > 0)
    return result
