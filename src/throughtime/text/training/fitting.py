"""A corpus and a configuration → trained weights. Knows nothing of files but its own scratch folder."""

import logging
import pickle
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from throughtime.nn import release_memory
from throughtime.spec.errors import ConfigError, DataError, TrainingError
from throughtime.spec.model import EncoderConfig, HeadConfig
from throughtime.text.batching import BucketBatches
from throughtime.text.config import TrainConfig
from throughtime.text.encoded import Corpus
from throughtime.text.request import STATE_FILE
from throughtime.text.splitting import TRAIN, VALIDATION
from throughtime.text.training.callbacks import EpochEnd, SaveState, WholeFiles, best_or_last
from throughtime.text.training.embeddings import initial_embedding
from throughtime.text.training.model import TextModel
from throughtime.text.training.module import TextTraining
from throughtime.text.training.reporter import Reporter
from throughtime.text.training.rounds import RoundLoaders, plan_rounds, round_seed

TOLD_OF_CUT = 0.05
"""From this share of texts on that are longer than the recipe reads, training says so."""
WEIGHTS = 2**32 - 1
"""Number, beside those of rounds, of the seed of the first weights."""


@dataclass(frozen=True)
class Fitted:
    """What training gives: tensors by their names in model.safetensors, and how they came to be.

    best_epoch: from 1; None where the last weights are kept. failure: why training stopped before its end, if it did.
    """

    encoder: EncoderConfig
    head: HeadConfig
    tensors: dict[str, np.ndarray]
    history: list[dict[str, Any]]
    best_epoch: int | None
    seconds: float
    embedding_facts: dict[str, Any]
    failure: TrainingError | None


def fit(
    corpus: Corpus, config: TrainConfig, *, seed: int, reporter: Reporter, scratch: Path | None, resume: bool
) -> Fitted:
    """Trains a model on the corpus's training rows.

    Args:
        scratch: folder for the run's state, saved as it goes; None saves nothing.
        resume: continue from the state in `scratch` where there is one.
    Raises:
        DataError: no training text has a token.
        ConfigError: the state to go on from is damaged.
        OutputError: the state cannot be saved.
        TrainingError: gradients stayed non-finite before a first epoch was done.
    """
    started = time.perf_counter()
    rows = corpus.rows(TRAIN)
    rows = rows[corpus.lengths[rows] > 0]
    if not len(rows):
        raise DataError("no training text holds a single token; look at the texts with `throughtime data check`")
    if corpus.facts["empty_texts"]:
        reporter.warn(
            f"{corpus.facts['empty_texts']:,} of {corpus.facts['rows']:,} texts are empty: those for training "
            f"({corpus.facts['empty_texts_train']:,}) are left out, others are predicted as the prior"
        )
    _tell_of_cut_texts(corpus, config, reporter)
    encoder = config.encoder_config(len(corpus.vocabulary))
    head = config.head_config(len(corpus.classes))
    torch.manual_seed(round_seed(seed, WEIGHTS))
    model = TextModel(encoder, head, config)
    embedding_facts = initial_embedding(model, corpus, config.encoder, seed=seed, reporter=reporter)

    batches = BucketBatches(corpus.lengths, rows, batch_size=config.training.batch_size, seed=seed, shuffle=True)
    steps = len(batches)
    epochs = max(config.training.epochs, -(-(config.training.min_steps or 0) // steps))
    rounds = plan_rounds(epochs=epochs, steps_an_epoch=steps, max_steps=config.training.max_steps)
    if (most := rounds[-1].epoch + 1) > config.training.epochs:
        asked = f"training.min_steps asks for {config.training.min_steps:,} steps"
        reporter.note(f"{asked}: {most:,} epochs, not {config.training.epochs}")
    module = TextTraining(
        model,
        config,
        RoundLoaders(corpus, batches, rounds),
        seed=seed,
        class_weights=class_weights(corpus, rows) if config.training.class_weights == "balanced" else None,
        reporter=reporter,
    )
    validation = validation_rows(corpus, config.training.validation_limit, seed)
    if not len(validation):
        _tell_of_no_validation(config, reporter)
    end = EpochEnd(
        corpus,
        validation,
        patience=config.training.patience,
        watch_flow=config.training.gradient_flow,
        reporter=reporter,
    )
    callbacks: list[lightning.Callback] = [end]
    state = None
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        callbacks.append(SaveState(scratch / STATE_FILE))
        state = scratch / STATE_FILE if resume and (scratch / STATE_FILE).exists() else None

    failure = None
    with quiet_lightning():
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=len(rounds),
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=callbacks,
            plugins=[WholeFiles()],
        )
        reporter.start(summary(model), rounds[-1].epoch + 1, module.total_steps, first_step=_step_of(state, module))
        on_interrupt = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(module, ckpt_path=state, weights_only=True if state else None)
        except TrainingError as error:
            if end.best_weights is None:
                raise
            failure = error
        except SystemExit:
            # Lightning's answer to Ctrl-C: it ignores further ones and exits with 1. Ours is Python's own.
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        finally:
            release_memory()  # of steps: a process may go on
    weights = best_or_last(module, end, config.training.keep if failure is None else "best")
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise TrainingError("the weights are not finite; lower optimiser.learning_rate or set optimiser.clip_norm")
    model.load_state_dict(weights)
    kept_best = end.best_weights is not None and (config.training.keep == "best" or failure is not None)
    return Fitted(
        encoder=encoder,
        head=head,
        tensors=model.tensors(),
        history=end.history,
        best_epoch=end.best_epoch + 1 if kept_best and end.best_epoch is not None else None,
        seconds=time.perf_counter() - started,
        embedding_facts=embedding_facts,
        failure=failure,
    )


def _tell_of_cut_texts(corpus: Corpus, config: TrainConfig, reporter: Reporter) -> None:
    longest = config.preprocessing.max_tokens
    cut = int((corpus.lengths >= longest).sum())  # those of exactly so many tokens, which are whole, are few
    if cut >= TOLD_OF_CUT * len(corpus.lengths):
        reporter.warn(
            f"{cut:,} of {len(corpus.lengths):,} texts reach preprocessing.max_tokens = {longest:,} and are cut there "
            f"(preprocessing.cut: {config.preprocessing.cut}); raise it for the whole text to count"
        )


def _tell_of_no_validation(config: TrainConfig, reporter: Reporter) -> None:
    patience = config.training.patience
    without = [
        *(["training.keep: best keeps the last epoch"] if config.training.keep == "best" else []),
        *([f"training.patience: {patience} ends nothing"] if patience is not None else []),
    ]
    if without:
        reporter.note(f"no text is held out for validation, so {' and '.join(without)}")


def validation_rows(corpus: Corpus, limit: int | None, seed: int) -> np.ndarray:
    """The rows that are scored each epoch: the validation part, or `limit` rows of it drawn at random, in order."""
    rows = corpus.rows(VALIDATION)
    if limit is None or len(rows) <= limit:
        return rows
    return np.sort(np.random.default_rng([seed, limit]).choice(rows, size=limit, replace=False))


def class_weights(corpus: Corpus, rows: np.ndarray) -> torch.Tensor:
    """(num_classes,): the inverse of each class's share, scaled so that a text's mean weight is 1."""
    counts = np.bincount(corpus.labels[rows], minlength=len(corpus.classes))
    return torch.from_numpy((len(rows) / (len(counts) * np.maximum(counts, 1))).astype(np.float32))


def summary(model: TextModel) -> str:
    """A table of the model's parameters, a line each, and their sum."""
    named = list(model.tensors().items())
    width = max(len(name) for name, _ in named)
    lines = [f"{name:<{width}}  {' × '.join(map(str, t.shape)):>16}  {t.size:>12,}" for name, t in named]
    return "\n".join([*lines, f"{'all':<{width}}  {'':>16}  {sum(t.size for _, t in named):>12,}"])


def _step_of(state: Path | None, module: TextTraining) -> int:
    if state is None:
        return 0
    try:
        done = torch.load(state, weights_only=True, map_location="cpu")["loops"]["fit_loop"]["epoch_progress"]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
        raise ConfigError(
            f"{state}: the saved state is damaged and cannot be resumed; start over with --force"
        ) from None
    number = int(done["current"]["processed"])
    rounds = module.loaders.rounds
    return rounds[number].step if number < len(rounds) else module.total_steps


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's own lines and hints are for its users; ours get the reporter's."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
        try:
            yield
        finally:
            logger.setLevel(level)
