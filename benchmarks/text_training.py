"""Measures training steps of a text model: throughtime's own, and those of the same model in plain PyTorch."""

import time
from typing import Any, Final

import lightning
import torch
from torch import nn

from benchmarks.cases import TextModelCase
from benchmarks.contenders import PACKED, PADDED
from benchmarks.problem import check
from benchmarks.results import OURS, Result
from benchmarks.reviews import reviews
from benchmarks.text_model import Batch, TorchTextModel, TorchTraining
from throughtime.text.batching import BucketBatches
from throughtime.text.config import TrainConfig, with_values
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.encoded import Corpus
from throughtime.text.recipe import load_recipe
from throughtime.text.splitting import TRAIN
from throughtime.text.training.fitting import quiet_lightning
from throughtime.text.training.model import TextModel
from throughtime.text.training.module import TextTraining
from throughtime.text.training.reporter import Silent
from throughtime.text.training.rounds import RoundLoaders, plan_rounds

WARM_UP: Final = 3
"""Steps that are not among the samples; a run of fewer than twice as many counts all but the first."""


def measure_text_model(case: TextModelCase) -> Result:
    """Tokens a second of each step: those that go through the model, without padding and segments that are left out.

    Every contender does every step, on the same batch and from the same seed, so that the same segments are left out.
    Reading batches is no part of it.

    Raises:
        WrongResultError: the model on packed sequences does not compute what throughtime's does.
    """
    config = with_values(load_recipe(case.recipe), {"training.max_steps": case.steps}, "benchmark")
    corpus = _corpus(case, config)
    torch.manual_seed(0)
    model = TextModel(config.encoder_config(len(corpus.vocabulary)), config.head_config(len(corpus.classes)), config)
    others = {}
    for name in (PACKED, PADDED):
        other = TorchTextModel(config, len(corpus.vocabulary), len(corpus.classes), packed=name == PACKED)
        other.take_weights(model)
        others[name] = other
    training = _training(model, corpus, config, case.steps)
    difference = compare(model, others[PACKED], next(iter(training.loaders.loader(0))))
    turns = Turns({name: TorchTraining(other, config) for name, other in others.items()}, config)
    with quiet_lightning():
        lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=len(training.loaders.rounds),
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[turns],
        ).fit(training)
    first = WARM_UP if case.steps >= 2 * WARM_UP else 1
    rates = {name: values[first:] for name, values in turns.rates.items()}
    facts = {"differences": {PACKED: float(f"{difference:.2g}")}, "vocabulary": len(corpus.vocabulary)}
    return Result(f"{case.name}/tokens-a-second", "tokens/s", "higher", rates, facts)


class Turns(lightning.Callback):
    """After each step of throughtime's training the others do theirs on the same batch, another one first each time."""

    def __init__(self, others: dict[str, TorchTraining], config: TrainConfig) -> None:
        self._others = others
        self._share = config.regularisation.segment_dropout
        self.rates: dict[str, list[float]] = {name: [] for name in (OURS, *others)}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        torch.manual_seed(len(self.rates[OURS]))
        self._tokens = pl_module.sums.tokens
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        seconds = time.perf_counter() - self._started
        step = len(self.rates[OURS])
        tokens = pl_module.sums.tokens - self._tokens
        self.rates[OURS].append(tokens / seconds)
        names = list(self._others)
        for name in names[step % len(names) :] + names[: step % len(names)]:
            torch.manual_seed(step)
            started = time.perf_counter()
            done = self._others[name].step(batch, self._share * (1.0 - step / pl_module.total_steps))
            seconds = time.perf_counter() - started
            if done != tokens:
                raise RuntimeError(f"{name}: {done} tokens in step {step}, in place of {tokens}")
            self.rates[name].append(tokens / seconds)


def compare(ours: TextModel, other: TorchTextModel, batch: Batch) -> float:
    """Scores and gradients of a batch without dropout; the largest difference.

    Raises:
        WrongResultError: they differ by more than the table of tolerances allows.
    """
    results = []
    for model in (ours, other):
        ids, lengths, labels = batch
        model.eval()
        model.zero_grad()
        scores = model(ids, lengths)
        torch.autograd.backward(nn.functional.cross_entropy(scores, labels))
        gradients = {_plain(name): p.grad for name, p in model.named_parameters()}
        results.append(
            {"output": scores.detach()} | {f"d_{n}": g.clone() for n, g in gradients.items() if g is not None}
        )
        model.zero_grad()
        model.train()
    return check(results[1], results[0], ours=True)


def _plain(name: str) -> str:
    return name.removeprefix("encoder.").removeprefix("head.")


def _corpus(case: TextModelCase, config: TrainConfig) -> Corpus:
    return corpus_from_lists(
        *reviews(case.reviews),
        tokenizer=config.tokenizer_options(),
        preprocessing=config.preprocessing_config(),
        validation_fraction=config.training.validation_fraction,
    )


def _training(model: TextModel, corpus: Corpus, config: TrainConfig, steps: int) -> TextTraining:
    """What `throughtime train` trains with, for so many steps."""
    rows = corpus.rows(TRAIN)
    rows = rows[corpus.lengths[rows] > 0]
    batches = BucketBatches(corpus.lengths, rows, batch_size=config.training.batch_size, seed=0, shuffle=True)
    epochs = -(-steps // len(batches))
    rounds = plan_rounds(epochs=epochs, steps_an_epoch=len(batches), max_steps=steps)
    loaders = RoundLoaders(corpus, batches, rounds)
    return TextTraining(model, config, loaders, seed=0, class_weights=None, reporter=Silent())
