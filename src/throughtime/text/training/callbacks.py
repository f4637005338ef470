"""What happens at the end of a round: validation, the best weights, early stopping, history, and the saved state."""

import io
import math
import resource
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from throughtime.runtime.atomic import atomic_file
from throughtime.runtime.scores import Scores, score
from throughtime.text.encoded import Corpus
from throughtime.text.splitting import TRAIN
from throughtime.text.training.evaluation import probabilities
from throughtime.text.training.flow_watch import FlowWatch
from throughtime.text.training.module import EpochSums, TextTraining
from throughtime.text.training.reporter import EpochRecord, Reporter
from throughtime.text.training.schedule import learning_rate

SAVE_EVERY_SECONDS = 20.0
SAVE_EPOCHS_EVERY_SECONDS = 1.0
"""Between states at ends of epochs; between others SAVE_EVERY_SECONDS."""
TOKENS_PER_WATCH = 500_000
"""Tokens of training between two looks at the flow through time, at ends of epochs: a small share of the time also
where epochs are short. Tokens and not seconds, so that the same run gives the same history."""


class EpochEnd(lightning.Callback):
    """Validates at the end of each epoch of the data, keeps the best weights and the history, stops early.

    All of it is part of the saved state: a resumed run knows its past. "Best" is the highest validation accuracy, and
    of equals the one with the lower loss.
    """

    def __init__(
        self, corpus: Corpus, validation: np.ndarray, *, patience: int | None, watch_flow: bool, reporter: Reporter
    ) -> None:
        self.flow = FlowWatch(corpus, validation if len(validation) else corpus.rows(TRAIN)) if watch_flow else None
        self.corpus = corpus
        self.validation = validation
        self.patience = patience
        self.reporter = reporter
        self.history: list[dict[str, Any]] = []
        self.best_score: tuple[float, float] | None = None
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.stopped = False
        self.unwatched_tokens = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.stopped:  # killed between the decision to stop and the end of the run
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, TextTraining)
        at = pl_module.loaders.rounds[trainer.current_epoch]
        if not at.ends_epoch:
            return
        started = time.perf_counter()
        scores = self._validate(pl_module)
        step = at.step + at.last - at.first
        flow = self._flow(pl_module)
        record = self._record(pl_module, at.epoch, step, scores, flow, time.perf_counter() - started)
        self.history.append(record.as_dict())
        best = scores is not None and self._is_best(scores)
        if best and scores is not None:
            self.best_score = (scores.accuracy, -scores.log_loss)
            self.best_epoch = at.epoch
            self.best_weights = {n: t.clone() for n, t in pl_module.evaluated_model().state_dict().items()}
        pl_module.sums = EpochSums()
        self.reporter.epoch(record, best)
        if self.patience is not None and self.best_epoch is not None and at.epoch - self.best_epoch >= self.patience:
            self.stopped = trainer.should_stop = True

    def _validate(self, module: TextTraining) -> Scores | None:
        if not len(self.validation):
            return None
        predicted = probabilities(module.evaluated_model(), self.corpus, self.validation)
        if not np.isfinite(predicted).all():
            self.reporter.warn("validation: the model's probabilities are not finite; this epoch is not kept")
            return None
        return score(self.corpus.labels[self.validation], predicted, self.corpus.classes)

    def _flow(self, module: TextTraining) -> dict[str, Any] | None:
        self.unwatched_tokens += module.sums.tokens
        if self.flow is None or self.unwatched_tokens < TOKENS_PER_WATCH:
            return None
        self.unwatched_tokens = 0
        found = self.flow.measure(module.model)
        if found is not None:
            for message in self.flow.onset(found):
                self.reporter.warn(message)
        return found

    def _is_best(self, scores: Scores) -> bool:
        return self.best_score is None or (scores.accuracy, -scores.log_loss) > self.best_score

    def _record(
        self,
        module: TextTraining,
        epoch: int,
        step: int,
        scores: Scores | None,
        flow: dict[str, Any] | None,
        seconds: float,
    ) -> EpochRecord:
        sums = module.sums
        texts, steps = sums.texts - sums.skipped_texts, sums.steps - sums.skipped
        return EpochRecord(
            epoch=epoch + 1,
            step=step,
            train_loss=sums.loss / texts if texts else None,
            train_accuracy=sums.correct / texts if texts else None,
            validation_loss=None if scores is None else scores.log_loss,
            validation_accuracy=None if scores is None else scores.accuracy,
            validation_macro_f1=None if scores is None else scores.macro_f1,
            learning_rate=learning_rate(module.config.optimiser, step - 1, module.total_steps),
            gradient_norm=sums.norm / steps if steps else None,
            skipped_steps=sums.skipped,
            seconds=sums.seconds + seconds,
            tokens_per_second=sums.tokens / sums.seconds if sums.seconds else 0.0,
            peak_memory_mb=peak_memory_mb(),
            gradient_flow=flow,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "stopped": self.stopped,
            "unwatched_tokens": self.unwatched_tokens,
            "flow": None if self.flow is None else self.flow.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.history = list(state_dict["history"])
        self.best_score = None if state_dict["best_score"] is None else tuple(state_dict["best_score"])
        self.best_epoch = state_dict["best_epoch"]
        self.best_weights = state_dict["best_weights"]
        self.stopped = state_dict["stopped"]
        self.unwatched_tokens = state_dict["unwatched_tokens"]
        if self.flow is not None:
            self.flow.load_state_dict(state_dict["flow"])


class SaveState(lightning.Callback):
    """Saves the run's state, whole or not at all, and seconds apart, as saving takes longer than a short epoch.

    The first round's is saved, for a place that cannot hold it to be known early; and the last one's, for a model that
    cannot be written to be had without training again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved = -math.inf

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, TextTraining)
        rounds = pl_module.loaders.rounds
        is_last = trainer.should_stop or trainer.current_epoch == len(rounds) - 1
        ends_epoch = rounds[trainer.current_epoch].ends_epoch
        apart = 0.0 if is_last else SAVE_EPOCHS_EVERY_SECONDS if ends_epoch else SAVE_EVERY_SECONDS
        if time.monotonic() - self._saved < apart:
            return
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, TextTraining)
        checkpoint["epoch_sums"] = asdict(pl_module.sums)

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        assert isinstance(pl_module, TextTraining)
        pl_module.sums = EpochSums(**checkpoint["epoch_sums"])


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it. Lightning's own writing goes by way of the system's folder
    for temporary files, which may be on another, smaller disk, and where a killed process leaves it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        if storage_options is not None:
            raise TypeError("a checkpoint on this disk has no storage_options")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_file(path) as file:
            file.write(content.getbuffer())


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, MB of 10⁶ bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def best_or_last(module: TextTraining, end: EpochEnd, keep: str) -> dict[str, Tensor]:
    """Weights to save: those of the best epoch, or the last ones where asked for or where nothing was validated."""
    if keep == "best" and end.best_weights is not None:
        return end.best_weights
    return module.evaluated_model().state_dict()
