"""Trained weights → the content of a model directory, with its scores on held-out texts."""

import platform
from typing import Any

import numpy as np
import torch

from throughtime import __version__
from throughtime.runtime.model_dir import ModelDirectory
from throughtime.runtime.scores import Scores, score
from throughtime.spec.model import ModelConfig
from throughtime.text.config import TrainConfig
from throughtime.text.encoded import Corpus
from throughtime.text.splitting import TEST
from throughtime.text.training.evaluation import probabilities
from throughtime.text.training.fitting import Fitted, validation_rows
from throughtime.text.training.model import TextModel


def export(
    corpus: Corpus, config: TrainConfig, fitted: Fitted, *, seed: int, facts: dict[str, Any]
) -> tuple[ModelDirectory, dict[str, Scores | None]]:
    """The model, and its scores on "validation" and "test"; None for a part that is empty.

    Args:
        facts: what the caller knows of the run, for the model card.
    """
    model = TextModel(fitted.encoder, fitted.head, config)
    model.load_tensors(fitted.tensors)
    parts = {
        "validation": validation_rows(corpus, config.training.validation_limit, seed),
        "test": corpus.rows(TEST),
    }
    scores = {name: _score(model, corpus, rows) for name, rows in parts.items()}
    described = ModelConfig(
        labels=corpus.classes,
        label_kind=corpus.label_kind,
        prior=corpus.prior,
        preprocessing=config.preprocessing_config(),
        encoder=fitted.encoder,
        head=fitted.head,
        training=facts | _facts(corpus, config, fitted, seed),
    )
    metrics = {name: None if part is None else part.as_dict() for name, part in scores.items()}
    return ModelDirectory(described, fitted.tensors, corpus.tokenizer_json, metrics, fitted.history), scores


def _score(model: TextModel, corpus: Corpus, rows: np.ndarray) -> Scores | None:
    if not len(rows):
        return None
    return score(corpus.labels[rows], probabilities(model, corpus, rows), corpus.classes)


def _facts(corpus: Corpus, config: TrainConfig, fitted: Fitted, seed: int) -> dict[str, Any]:
    history = fitted.history
    tokens = sum(row["tokens_per_second"] for row in history)
    return {
        "configuration": config.model_dump(mode="json"),
        "seed": seed,
        "corpus": dict(corpus.facts),
        "embedding": fitted.embedding_facts,
        "epochs": len(history),
        "best_epoch": fitted.best_epoch,
        "training_seconds": round(sum(row["seconds"] for row in history), 1),
        "tokens_per_second": round(tokens / len(history)) if history else None,
        "peak_memory_mb": round(max((row["peak_memory_mb"] for row in history), default=0.0)),
        "threads": torch.get_num_threads(),
        "versions": {"throughtime": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": platform.machine(),
    }
