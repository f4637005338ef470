"""`throughtime evaluate`: its numbers, its table, its refusals."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from throughtime.runtime import Predictor

Run = Callable[..., Any]
ROWS = [("a good film", "pos"), ("very bad", "neg"), ("awful", "neg"), ("", "neg"), ("great!", "pos")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS))
    return path


def test_json_holds_every_score(run: Run, model_path: Path, data: Path) -> None:
    result = run("evaluate", model_path, data, "--json")
    assert (result.code, result.err) == (0, "")
    scores = json.loads(result.out)
    predicted = Predictor.load(model_path).predict([text for text, _ in ROWS])
    assert scores["accuracy"] == sum(a == b for a, (_, b) in zip(predicted, ROWS, strict=True)) / len(ROWS)
    assert (scores["count"], scores["empty_texts"]) == (5, 1)
    assert scores["confusion"]["labels"] == ["neg", "pos"]
    assert {"macro_f1", "weighted_f1", "log_loss", "brier", "calibration_error", "classes", "reliability"} <= set(
        scores
    )


def test_the_table(run: Run, model_path: Path, data: Path) -> None:
    result = run("evaluate", model_path, data)
    assert (result.code, result.err) == (0, "")
    for part in ("accuracy", "macro F1", "calibration error", "precision", "confusion matrix", "mean confidence"):
        assert part in result.out
    assert "1 of the texts are empty" in result.out


def test_columns_by_name(run: Run, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "data.tsv").write_text("a\tb\tc\ngood\tx\tpos\nbad\tx\tneg\n")
    result = run("evaluate", model_path, tmp_path / "data.tsv", "--text-column", "a", "--label-column", "c", "--json")
    assert json.loads(result.out)["count"] == 2
    assert "missing" in run("evaluate", model_path, tmp_path / "data.tsv", "--label-column", "missing").refusal()


def test_a_label_that_the_model_lacks(run: Run, model_path: Path, data: Path) -> None:
    with data.open("a") as stream:
        stream.write("fine,neutral\n")
    message = run("evaluate", model_path, data).refusal()
    assert "data.csv, line 7: label 'neutral' is no class of the model (neg, pos): correct it" in message
    data.write_text("text,label\nfine," + "a whole review " * 50 + "\n")  # the wrong column
    assert len(run("evaluate", model_path, data).refusal()) < 300


def test_other_bad_input(run: Run, model_path: Path, data: Path, tmp_path: Path) -> None:
    assert "nowhere.csv" in run("evaluate", model_path, tmp_path / "nowhere.csv").refusal()
    (tmp_path / "empty.csv").write_text("")
    assert "empty.csv" in run("evaluate", model_path, tmp_path / "empty.csv").refusal()
    (tmp_path / "header.csv").write_text("text,label\n")
    assert "header.csv" in run("evaluate", model_path, tmp_path / "header.csv").refusal()
    (tmp_path / "no-labels.csv").write_text("text\ngood\n")
    assert "no-labels.csv" in run("evaluate", model_path, tmp_path / "no-labels.csv").refusal()
    (model_path / "config.json").unlink()
    assert "config.json is missing" in run("evaluate", model_path, data).refusal()
