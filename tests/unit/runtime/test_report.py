"""Scores as text: every number at its place, columns aligned, nothing longer than it may be."""

import numpy as np
import pytest

from throughtime.runtime import report
from throughtime.runtime.report import score_table
from throughtime.runtime.scores import Scores, score


def scores(names: tuple[str, ...], truth: list[int], predicted: list[int]) -> Scores:
    probabilities = np.full((len(truth), len(names)), 0.1 / (len(names) - 1))
    probabilities[np.arange(len(truth)), predicted] = 0.9
    return score(np.array(truth), probabilities, names)


def test_two_classes_as_a_whole() -> None:
    table = score_table(scores(("neg", "pos"), [0] * 4 + [1] * 4, [0, 0, 0, 1, 1, 1, 1, 1]), reliability=True)
    assert table == "\n".join(
        [
            "accuracy           0.8750  of 8 texts",
            "macro F1           0.8730  mean over the classes met",
            "weighted F1        0.8730  weighted by their texts",
            "log loss           0.3800  mean −ln p(true class)",
            "Brier score        0.2200  0 is best, 2 is worst",
            "calibration error  0.0250  mean |accuracy − confidence| over 15 bins",
            "",
            "class  precision  recall      F1  texts",
            "neg       1.0000  0.7500  0.8571      4",
            "pos       0.8000  1.0000  0.8889      4",
            "",
            "confusion matrix (a row a true class, a column a predicted one)",
            "     neg  pos",
            "neg    3    1",
            "pos    0    4",
            "",
            "confidence   texts  mean confidence  accuracy",
            "0.87 – 0.93      8           0.9000    0.8750",
        ]
    )


def test_a_matrix_that_does_not_fit_becomes_its_largest_mistakes() -> None:
    names = tuple(f"a rather long class {k}" for k in range(6))
    truth, predicted = [0, 0, 0, 1, 2, 3, 4, 5], [1, 1, 0, 2, 2, 3, 4, 5]
    table = score_table(scores(names, truth, predicted))
    assert "most frequent mistakes\n2  a rather long class 0  taken for a rather long class 1\n1  a rather" in table
    assert "confusion matrix" in score_table(scores(names, truth, predicted), width=200)
    assert "no mistakes" in score_table(scores(names, truth, truth))
    assert max(map(len, table.splitlines())) <= 80


def test_odd_names_keep_the_columns() -> None:
    table = score_table(scores(("差评", "b\x1b[31m\n" + "c" * 90), [0, 1], [0, 1]))
    lines = table.splitlines()
    assert "\x1b" not in table
    start = lines.index(next(line for line in lines if line.startswith("class")))
    wide, cut = lines[start + 1 : start + 3]
    assert wide.endswith("1.0000  1.0000  1.0000      1")
    assert len(wide) == len(cut) - 2  # each of the two characters is two columns wide
    assert "…" in cut


def test_very_many_classes_stay_readable_and_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0
    cells = report._cells

    def counted(text: str) -> int:
        nonlocal measured
        measured += 1
        return cells(text)

    monkeypatch.setattr(report, "_cells", counted)
    names = tuple(f"c{k}" for k in range(500))
    table = score_table(scores(names, [0, 1, 2], [0, 2, 2]))
    assert measured < 1000  # the matrix has 250,000 entries
    assert "… and 460 classes more" in table
    assert len(table.splitlines()) < 60
