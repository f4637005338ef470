"""One training step, as a LightningModule: forward, backward, watch, clip, step, average."""

import time
from dataclasses import dataclass

import lightning
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from throughtime.text.config import TrainConfig
from throughtime.text.training.averaging import averaged_model
from throughtime.text.training.loss import TextLoss
from throughtime.text.training.model import TextModel
from throughtime.text.training.reporter import Reporter
from throughtime.text.training.rounds import BatchLoader, RoundLoaders, round_seed
from throughtime.text.training.schedule import learning_rate
from throughtime.text.training.segments import drop_segments
from throughtime.text.training.watch import GradientWatch

TOKENS_AT_ONCE = 8_192
"""Tokens, with padding, that go through the model together: a step holds what backward needs of these only."""


@dataclass
class EpochSums:
    """What an epoch adds up, over all its rounds; saved with the run's state."""

    texts: int = 0
    tokens: int = 0
    steps: int = 0
    loss: float = 0.0
    correct: int = 0
    norm: float = 0.0
    skipped: int = 0
    skipped_texts: int = 0
    seconds: float = 0.0


class TextTraining(lightning.LightningModule):
    """Minimises the cross-entropy of a TextModel's scores.

    One "epoch" of the Trainer is a round (see `rounds`). The step is written out (manual optimisation) so that it can
    be refused when a gradient is not finite, and so that it reads as what it is.
    """

    def __init__(
        self,
        model: TextModel,
        config: TrainConfig,
        loaders: RoundLoaders,
        *,
        seed: int,
        class_weights: Tensor | None,
        reporter: Reporter,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.averaged: AveragedModel | None = None
        if config.optimiser.averaging is not None:
            self.averaged = averaged_model(model, config.optimiser.averaging)
        self.config = config
        self.loaders = loaders
        self.seed = seed
        self.reporter = reporter
        self.watch = GradientWatch(reporter)
        self.sums = EpochSums()
        self.total_steps = loaders.rounds[-1].step + loaders.rounds[-1].last - loaders.rounds[-1].first
        self.loss = TextLoss(class_weights, config.regularisation.label_smoothing)

    def evaluated_model(self) -> TextModel:
        """The weights that count: the averaged ones, where the recipe averages."""
        if self.averaged is None:
            return self.model
        module = self.averaged.module
        assert isinstance(module, TextModel)
        return module

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, with decoupled weight decay of matrices and of the embedding; biases have none.

        Decay of the embedding matters: Adam moves a rare word as far as a frequent one, and so learns training texts by
        heart; with decay a word that does not come again is forgotten. `fused` is one pass over all weights: with a
        large vocabulary the step is otherwise a good part of the time.
        """
        embedding = [self.model.encoder.embedding.weight]
        rest = [p for p in self.model.parameters() if p is not embedding[0]]
        regularisation, optimiser = self.config.regularisation, self.config.optimiser
        groups = [
            {"params": embedding, "weight_decay": regularisation.embedding_decay},
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": regularisation.weight_decay},
            {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
        ]
        cls = torch.optim.AdamW if optimiser.name == "adamw" else torch.optim.Adam
        return cls(groups, lr=optimiser.learning_rate, betas=optimiser.betas, fused=True)

    def train_dataloader(self) -> BatchLoader:
        return self.loaders.loader(self.trainer.current_epoch)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(round_seed(self.seed, self.trainer.current_epoch))
        self._clock = time.perf_counter()

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        ids, lengths, labels = batch
        at = self.loaders.rounds[self.trainer.current_epoch]
        step = at.step + batch_idx
        optimiser = self.optimizers()
        assert isinstance(optimiser, lightning.pytorch.core.optimizer.LightningOptimizer)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(self.config.optimiser, step, self.total_steps)

        segment, share = self.config.encoder.segment, self.config.regularisation.segment_dropout
        if segment is not None and share:
            # To nothing at the end of the run: a maximum over half the segments is lower than one over all, so a model
            # that never saw whole texts would judge them by numbers it does not know.
            ids, lengths = drop_segments(ids, lengths, segment, share * (1.0 - step / self.total_steps))
        optimiser.zero_grad()
        loss, scores = self.backward_in_portions(ids, lengths, labels)
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        # Before clipping, which spreads a NaN to every gradient: the watch is to name the layer that it came from.
        taken = self.watch.allows(norm, loss, self.model.named_parameters(), step)
        if taken:
            clip = self.config.optimiser.clip_norm
            if clip is not None and float(norm) > clip:  # else all would be read and written for nothing
                nn.utils.clip_grads_with_norm_(self.model.parameters(), clip, norm)
            optimiser.step()
            if self.averaged is not None:
                self.averaged.update_parameters(self.model)
        self._add(loss, scores, lengths, labels, norm, taken=taken)
        self.reporter.step(at.epoch, step + 1, float(loss), self._tokens_per_second())

    def backward_in_portions(self, ids: Tensor, lengths: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the batch's gradient to the parameters', in portions that bound memory; returns its loss and scores.

        The sum is the whole batch's gradient: a portion's mean loss counts by its share of the batch's class weights.
        """
        whole = self.loss.mass(labels)
        rows = max(1, TOKENS_AT_ONCE // ids.shape[1])
        loss, scores = torch.zeros(()), []
        for start in range(0, len(labels), rows):
            part = slice(start, start + rows)
            longest = int(lengths[part].max())
            scores.append(self.model(ids[part, :longest], lengths[part]))
            value = self.loss(scores[-1], labels[part]) * (self.loss.mass(labels[part]) / whole)
            self.manual_backward(value)
            loss += value.detach()
        return loss, torch.cat(scores).detach()

    def _add(self, loss: Tensor, scores: Tensor, lengths: Tensor, labels: Tensor, norm: Tensor, *, taken: bool) -> None:
        now = time.perf_counter()
        sums = self.sums
        sums.seconds += now - self._clock
        self._clock = now
        sums.texts += len(labels)
        sums.tokens += int(lengths.sum())
        sums.steps += 1
        if taken:
            sums.loss += float(loss) * len(labels)
            sums.correct += int((scores.argmax(dim=1) == labels).sum())
            sums.norm += float(norm)
        else:
            sums.skipped += 1
            sums.skipped_texts += len(labels)

    def _tokens_per_second(self) -> float:
        return self.sums.tokens / self.sums.seconds if self.sums.seconds else 0.0
