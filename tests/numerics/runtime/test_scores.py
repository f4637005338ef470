"""Scores against scikit-learn, and against cases that can be counted by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics

from throughtime.runtime.scores import score
from throughtime.spec.errors import ShapeError
from throughtime.spec.tolerances import OUTPUT

Array = NDArray[Any]


def close_to(expected: Any) -> Any:
    return pytest.approx(expected, rel=OUTPUT["float64"].rtol, abs=OUTPUT["float64"].atol)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), count=st.integers(1, 60), sharp=st.sampled_from([1, 9]))
def test_equals_scikit_learn(seed: int, classes: int, count: int, sharp: int) -> None:
    rng = np.random.default_rng(seed)
    powers = np.exp(sharp * rng.normal(size=(count, classes)))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    truth = rng.integers(0, classes, count)
    names = tuple("abcde"[:classes])
    result = score(truth, probabilities, names)
    predicted = probabilities.argmax(axis=1)
    every: list[int] = list(range(classes))
    averages = {"labels": every, "zero_division": 0.0}
    assert result.accuracy == close_to(metrics.accuracy_score(truth, predicted))
    assert result.macro_f1 == close_to(metrics.f1_score(truth, predicted, average="macro", zero_division=0.0))
    assert result.weighted_f1 == close_to(metrics.f1_score(truth, predicted, average="weighted", **averages))
    assert result.log_loss == close_to(metrics.log_loss(truth, probabilities, labels=every))
    assert result.brier == close_to(((probabilities - np.eye(classes)[truth]) ** 2).sum(axis=1).mean())
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(truth, predicted, labels=every))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, **averages)
    for k, found in enumerate(result.classes):
        assert (found.precision, found.recall, found.f1, found.support) == close_to(
            (precision[k], recall[k], f1[k], support[k])
        )
    assert result.calibration_error == close_to(calibration_error(truth, probabilities))
    assert sum(entry.count for entry in result.reliability) == count


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.uint64, np.bool_])
def test_labels_of_any_integer_type(dtype: type) -> None:
    classes = 2 if dtype is np.bool_ else 20
    truth = np.arange(40) % classes
    probabilities = np.eye(classes)[(truth * 3 + 1) % classes]
    names = tuple(map(str, range(classes)))
    assert score(truth.astype(dtype), probabilities, names) == score(truth, probabilities, names)


def calibration_error(truth: Array, probabilities: Array) -> float:
    """The definition of Guo et al. (2017), text by text."""
    total = 0.0
    for k in range(15):
        inside = [
            row for row, confidence in enumerate(probabilities.max(axis=1)) if k / 15 < confidence <= (k + 1) / 15
        ]
        if inside:
            accuracy = np.mean([probabilities[row].argmax() == truth[row] for row in inside])
            total += len(inside) / len(truth) * abs(accuracy - probabilities[inside].max(axis=1).mean())
    return float(total)


def test_a_case_counted_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
    result = score(np.array([0, 0, 1, 1]), probabilities, ("neg", "pos"))
    assert result.accuracy == 0.5
    assert result.confusion == ((1, 1), (1, 1))
    assert result.classes[0].precision == result.classes[1].recall == 0.5
    assert result.brier == pytest.approx(2 * (0.01 + 0.36 + 0.09 + 0.64) / 4)
    assert result.calibration_error == pytest.approx((0.1 + 0.6 + 0.3 + 0.8) / 4)
    assert [entry.count for entry in result.reliability] == [1, 1, 1, 1]


def test_certain_predictions() -> None:
    """Probabilities of exactly 0 and 1: the last bin holds them, and a certain mistake costs much but not infinity."""
    certain = np.array([[1.0, 0.0], [0.0, 1.0]])
    right = score(np.array([0, 1]), certain, ("neg", "pos"))
    assert (right.accuracy, right.log_loss, right.brier, right.calibration_error) == (1, 0, 0, 0)
    assert [(entry.lower, entry.upper) for entry in right.reliability] == [(14 / 15, 1)]
    wrong = score(np.array([1, 0]), certain, ("neg", "pos"))
    assert (wrong.accuracy, wrong.brier, wrong.calibration_error) == (0, 2, 1)
    assert np.isfinite(wrong.log_loss)


def test_a_class_counts_in_the_macro_mean_where_it_occurs_or_is_predicted() -> None:
    result = score(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]), ("a", "b", "c"))
    assert result.macro_f1 == 1
    assert result.weighted_f1 == 1
    assert result.classes[2].support == 0
    result = score(np.array([0, 1]), np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]), ("a", "b", "c"))
    assert result.macro_f1 == pytest.approx(1 / 3)


def test_json_has_every_number() -> None:
    result = score(np.array([0, 1]), np.array([[0.8, 0.2], [0.9, 0.1]]), ("neg", "pos")).as_dict()
    assert result["classes"]["neg"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1}
    assert result["confusion"] == {"labels": ["neg", "pos"], "rows_true_columns_predicted": [[1, 0], [1, 0]]}
    assert {type(value) for entry in result["reliability"] for value in entry.values()} == {int, float}


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 2\), with at least one text, but are \(2, 3\)"):
        score(np.array([0, 1]), np.zeros((2, 3)), ("neg", "pos"))
    with pytest.raises(ShapeError, match="with at least one text"):
        score(np.array([], dtype=int), np.zeros((0, 2)), ("neg", "pos"))
    with pytest.raises(ShapeError, match="labels must be in 0 … 1, but reach 0 … 2"):
        score(np.array([0, 2]), np.zeros((2, 2)), ("neg", "pos"))
