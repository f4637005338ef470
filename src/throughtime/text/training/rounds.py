"""When a run's state may be saved: at the end of a round.

A round is a short run of steps within one epoch, and one "epoch" of Lightning's Trainer. Lightning restores a run
exactly at the end of an epoch of its own, and only there without private knowledge of the data loader; short rounds
make that a matter of seconds. Whatever a round does follows from the seed and its number alone (order of batches,
dropout), so that a run which goes on after a round is the run that was never interrupted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from throughtime.text.batching import BucketBatches, collate
from throughtime.text.encoded import Corpus

STEPS_A_ROUND = 25


@dataclass(frozen=True)
class Round:
    """Steps [first, last) of epoch `epoch`; `step` is the number of the first one over the whole run."""

    epoch: int
    first: int
    last: int
    step: int
    ends_epoch: bool


def plan_rounds(*, epochs: int, steps_an_epoch: int, max_steps: int | None = None) -> list[Round]:
    """All rounds of a run; the last epoch ends early where max_steps says so."""
    rounds: list[Round] = []
    step = 0
    for epoch in range(epochs):
        steps = steps_an_epoch if max_steps is None else min(steps_an_epoch, max_steps - step)
        for first in range(0, steps, STEPS_A_ROUND):
            last = min(first + STEPS_A_ROUND, steps)
            rounds.append(Round(epoch, first, last, step, ends_epoch=last == steps))
            step += last - first
    return rounds


def round_seed(seed: int, number: int) -> int:
    """Seed of torch's generator for round `number`: unrelated between rounds and between runs' seeds."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)


class BatchLoader:
    """Batches of rows as tensors: (ids (batch, seq_len), lengths (batch,), labels (batch,)), all int64."""

    def __init__(self, corpus: Corpus, batches: list[np.ndarray]):
        self.corpus = corpus
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for rows in self.batches:
            ids, lengths, labels = collate(self.corpus, rows)
            yield torch.from_numpy(ids), torch.from_numpy(lengths), torch.from_numpy(labels)


class RoundLoaders:
    """The loader of each round, on demand."""

    def __init__(self, corpus: Corpus, batches: BucketBatches, rounds: list[Round]):
        self.corpus = corpus
        self.rounds = rounds
        self._batches = batches
        self._epoch: tuple[int, list[np.ndarray]] | None = None

    def loader(self, number: int) -> BatchLoader:
        at = self.rounds[number]
        if self._epoch is None or self._epoch[0] != at.epoch:
            self._epoch = (at.epoch, list(self._batches.epoch(at.epoch)))
        return BatchLoader(self.corpus, self._epoch[1][at.first : at.last])
