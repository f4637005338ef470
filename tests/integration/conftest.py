"""Fixtures of the integration tests: a small model directory with random weights, as a training would leave it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import models

from throughtime.runtime.model_dir import write_model_directory
from throughtime.runtime.pipelines import pipeline
from throughtime.spec.model import (
    EncoderConfig,
    HeadConfig,
    LabelKind,
    ModelConfig,
    PreprocessingConfig,
    model_parameter_shapes,
)

WORDS = ["the", "a", "film", "movie", "was", "is", "good", "bad", "great", "awful", "not", "very", ".", ",", "!"]

WriteModel = Callable[..., tuple[ModelConfig, dict[str, NDArray[Any]]]]


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    """A tokenizer of a handful of words."""
    tokenizer = pipeline("words", lowercase=True)
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token="[UNK]")
    return str(tokenizer.to_str())


@pytest.fixture(scope="session")
def write_model(tokenizer_json: str) -> WriteModel:
    """Writes a model directory with random weights: write_model(path, labels=…, seed=…, force=…) → config, tensors."""

    def write(
        path: Path,
        labels: tuple[str, ...] = ("neg", "pos"),
        *,
        label_kind: LabelKind = "str",
        seed: int = 0,
        force: bool = False,
    ) -> tuple[ModelConfig, dict[str, NDArray[Any]]]:
        prior = np.arange(1, len(labels) + 1) / sum(range(1, len(labels) + 1))
        config = ModelConfig(
            labels=labels,
            label_kind=label_kind,
            prior=tuple(prior.tolist()),
            preprocessing=PreprocessingConfig(max_tokens=40, cut="head+tail"),
            encoder=EncoderConfig("recurrent", len(WORDS) + 2, 4, "LSTM", (3,), bidirectional=True, segment=5),
            head=HeadConfig("max+mean", len(labels)),
            training={"seed": seed},
        )
        rng = np.random.default_rng(seed)
        tensors: dict[str, NDArray[Any]] = {
            name: rng.normal(size=shape).astype(np.float16 if name == "embedding.weight" else np.float32)
            for name, shape in model_parameter_shapes(config).items()
        }
        metrics = {"validation": {"accuracy": 0.5}}
        history = [{"epoch": 1, "loss": 0.7}, {"epoch": 2, "loss": 0.6}]
        write_model_directory(path, config, tensors, tokenizer_json, metrics, history, "# A card\n", force=force)
        return config, tensors

    return write


@pytest.fixture
def model_path(tmp_path: Path, write_model: WriteModel) -> Path:
    """A fresh model directory with the labels neg and pos."""
    write_model(tmp_path / "model")
    return tmp_path / "model"
