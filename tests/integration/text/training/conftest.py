"""A small labelled data set whose classes differ by a few words, and a recipe that learns it in a second."""

import csv
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from throughtime.text.config import TrainConfig, parse_config
from throughtime.text.reading import Columns
from throughtime.text.request import TrainRequest

WORDS = ["the", "a", "film", "plot", "story", "actor", "scene", "music", "end", "was", "is", "of", "and", "it", "in"]
MARKS = {"pos": ["wonderful", "warm", "brilliant"], "neg": ["dull", "awful", "tedious"]}


def write_reviews(path: Path, rows: int, seed: int) -> Path:
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "movie"])
        for row in range(rows):
            label = "pos" if row % 2 else "neg"
            words = draw.choices(WORDS, k=draw.randint(3, 40))
            words.insert(draw.randrange(len(words)), draw.choice(MARKS[label]))
            writer.writerow([" ".join(words), label, f"movie {row // 4}"])
    return path


def small_config(**sections: dict[str, object]) -> TrainConfig:
    values: dict[str, dict[str, object]] = {
        "preprocessing": {"max_tokens": 50, "min_count": 1},
        "encoder": {"embedding_size": 8, "hidden_size": [6], "segment": 10},
        "regularisation": {
            "word_dropout": 0.1,
            "segment_dropout": 0.3,
            "embedding_dropout": 0.1,
            "output_dropout": 0.1,
        },
        "optimiser": {"learning_rate": 0.02, "averaging": 0.9},
        "training": {"epochs": 3, "batch_size": 8, "validation_fraction": 0.2},
    }
    for name, section in sections.items():
        values[name] = values.get(name, {}) | section
    return parse_config(values, "test")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THROUGHTIME_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """120 rows: text, label (pos, neg), movie (4 rows each)."""
    return write_reviews(tmp_path / "reviews.csv", rows=120, seed=1)


@pytest.fixture
def more_reviews(tmp_path: Path) -> Path:
    return write_reviews(tmp_path / "more.csv", rows=40, seed=2)


@pytest.fixture
def config() -> Callable[..., TrainConfig]:
    """Makes a small configuration; keyword arguments are sections whose keys replace its own."""
    return small_config


@pytest.fixture
def request_for(reviews: Path, tmp_path: Path) -> Callable[..., TrainRequest]:
    """Makes a TrainRequest on the reviews; keyword arguments are its fields."""

    def make(**fields: object) -> TrainRequest:
        base = TrainRequest(
            data=str(reviews), out=tmp_path / "model", config=small_config(), recipe="test", columns=Columns()
        )
        return replace(base, **fields)  # type: ignore[arg-type]

    return make
