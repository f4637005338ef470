"""Pre-trained vectors in a run: what they cover is reported, and they are where training starts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from throughtime.runtime.model_dir import read_model_directory
from throughtime.text.config import TrainConfig
from throughtime.text.request import TrainRequest
from throughtime.text.tokenizing import vocabulary
from throughtime.text.training.reporter import Silent
from throughtime.text.training.run import train


class Notes(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_training_starts_from_the_vectors_and_reports_what_they_cover(
    request_for: Callable[..., TrainRequest], config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    path = tmp_path / "vectors.txt"
    words = ["the", "film", "wonderful", "dull"]
    given = {word: np.random.default_rng(row).normal(size=8).astype(np.float32) for row, word in enumerate(words)}
    path.write_text("".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in given.items()))
    still = config(
        encoder={"embedding_init": "vectors", "vectors": str(path), "unknown_vectors": "zeros"},
        optimiser={"learning_rate": 1e-12, "averaging": None},
        training={"epochs": 1},
    )
    notes = Notes()
    request = request_for(config=still)
    train(request, notes)
    model = read_model_directory(request.out)
    tokens = vocabulary(model.tokenizer_json)
    for word, vector in given.items():
        np.testing.assert_allclose(model.tensors["embedding.weight"][tokens.index(word)], vector, atol=1e-6)
    assert (np.abs(model.tensors["embedding.weight"][tokens.index("actor")]) < 1e-6).all()
    assert any("covers" in note and "of the vocabulary" in note and "running tokens" in note for note in notes.notes)
    facts = model.config.training["embedding"]
    assert facts["vectors_found"] == 4
    assert 0.0 < facts["tokens_covered"] < 1.0


def test_words_without_company_start_at_zero_on_request(
    request_for: Callable[..., TrainRequest], config: Callable[..., TrainConfig], reviews: Path
) -> None:
    with reviews.open("a") as file:
        file.write("lonely,pos,movie 99\n" * 3)
    still = config(
        encoder={"embedding_init": "cooccurrence", "unknown_vectors": "zeros"},
        optimiser={"learning_rate": 1e-12, "averaging": None},
        training={"epochs": 1, "validation_fraction": 0.0},
    )
    request = request_for(config=still)
    train(request, Silent())
    model = read_model_directory(request.out)
    tokens = vocabulary(model.tokenizer_json)
    assert (np.abs(model.tensors["embedding.weight"][tokens.index("lonely")]) < 1e-6).all()
    assert (np.abs(model.tensors["embedding.weight"][tokens.index("actor")]) > 1e-6).any()
