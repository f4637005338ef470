"""What a run tells of its data and its options before it trains."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from throughtime.text.config import TrainConfig, Training
from throughtime.text.reading import Columns
from throughtime.text.request import TrainRequest
from throughtime.text.splitting import TRAIN
from throughtime.text.training.reporter import Silent
from throughtime.text.training.run import corpus_of, train

Make = Callable[..., TrainRequest]
MakeConfig = Callable[..., TrainConfig]


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.mark.parametrize(("longest", "told"), [(30, True), (60, False)])
def test_texts_that_are_cut_are_reported(request_for: Make, config: MakeConfig, longest: int, told: bool) -> None:
    reporter = Told()
    train(request_for(config=config(preprocessing={"max_tokens": longest}, training={"epochs": 1})), reporter)
    [*warnings] = [message for message in reporter.warnings if "preprocessing.max_tokens" in message]
    assert bool(warnings) == told
    if told:
        assert re.match(r"\d+ of 120 texts reach preprocessing\.max_tokens = 30 and are cut there", warnings[0])


def test_texts_that_training_shares_with_a_test_file_are_reported(request_for: Make, reviews: Path) -> None:
    lines = reviews.read_text().splitlines(keepends=True)
    (reviews.parent / "test.csv").write_text("".join(lines[:4]) + "a film that nobody knows,pos,movie 99\n")
    epochs = Told()
    config = request_for().config.model_copy(update={"training": Training(validation_fraction=0.0, max_steps=2)})
    train(request_for(config=config, test=str(reviews.parent / "test.csv")), epochs)
    assert epochs.warnings == ["3 texts of the test part stand in the training part too, so its scores may be too good"]
    epochs = Told()
    train(request_for(force=True), epochs)
    assert epochs.warnings == []


def test_doubtful_classes_are_reported(request_for: Make, reviews: Path) -> None:
    reviews.write_text(reviews.read_text().replace(",pos,", ",NaN,"))
    config = request_for().config.model_copy(update={"training": Training(max_steps=2)})
    train(request_for(config=config), told := Told())
    assert [warning for warning in told.warnings if "missing" in warning] == [
        "class 'NaN' (60 rows) is called as a missing value is written; if it is one, label its rows or remove them"
    ]


@pytest.mark.parametrize("part", ["test", "validation"])
def test_groups_that_training_shares_with_a_file_of_its_own_are_reported(
    part: str, request_for: Make, more_reviews: Path
) -> None:
    lines = more_reviews.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0] + ","  # a row without a group: these groups split nothing
    more_reviews.write_text("\n".join(lines) + "\n")
    epochs = Told()
    config = request_for().config.model_copy(update={"training": Training(max_steps=2)})
    grouped = request_for(config=config, columns=Columns(group="movie"), **{part: str(more_reviews)})
    train(grouped, epochs)
    movies = np.arange(120) // 4
    shared = len(set(range(10)) & set(movies[corpus_of(grouped, Silent()).split[:120] == TRAIN]))
    assert f"{shared} groups of the {part} part stand in the training part too, so its scores may be too good" in (
        epochs.warnings
    )
    if part == "test":
        assert not any("of the validation part" in warning for warning in epochs.warnings)
    without = request_for(config=config, force=True, **{part: str(more_reviews)})
    train(without, epochs := Told())
    assert not any("groups of" in warning for warning in epochs.warnings)


def test_more_epochs_than_were_asked_for_are_told(request_for: Make, config: MakeConfig) -> None:
    told, silent = Told(), Told()
    train(request_for(config=config(training={"epochs": 1, "min_steps": 30})), told)
    assert "training.min_steps asks for 30 steps: 3 epochs, not 1" in told.notes
    limits = {"epochs": 1, "min_steps": 30, "max_steps": 12}
    train(request_for(config=config(training=limits), force=True), silent)
    assert not any("min_steps" in note for note in silent.notes)


@pytest.mark.parametrize(
    ("options", "note"),
    [
        ({}, "so training.keep: best keeps the last epoch"),
        ({"patience": 3}, "so training.keep: best keeps the last epoch and training.patience: 3 ends nothing"),
        ({"patience": 3, "keep": "last"}, "so training.patience: 3 ends nothing"),
        ({"keep": "last"}, None),
    ],
)
def test_options_that_need_a_validation_part_are_told_of_where_there_is_none(
    options: dict[str, object], note: str | None, request_for: Make, config: MakeConfig
) -> None:
    limits = {"epochs": 1, "max_steps": 1}
    train(request_for(config=config(training=limits | options | {"validation_fraction": 0.0})), told := Told())
    assert told.notes == ([] if note is None else [f"no text is held out for validation, {note}"])
    train(request_for(config=config(training=limits | options), force=True), told := Told())
    assert told.notes == []
