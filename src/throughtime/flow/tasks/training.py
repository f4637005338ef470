"""The loop behind an experiment: fresh batches, clipping, evaluations, an end where numbers are no longer finite."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from throughtime import nn as layers
from throughtime.flow.tasks.task import Batch, Task
from throughtime.nn.base import Recurrent
from throughtime.spec.errors import OptionError


@dataclass(frozen=True)
class Progress:
    """Where an experiment stands: means of the loss and of the gradient's norm before clipping since the last time."""

    step: int
    train_loss: float
    held_out_loss: float
    gradient_norm: float


@dataclass(frozen=True)
class Trained:
    """steps: those taken. diverged: the next one's loss or gradient was not finite. history: an entry an evaluation."""

    steps: int
    diverged: bool
    history: tuple[Progress, ...]


class Model(nn.Module):
    """One recurrent layer and a linear output at every step: (seq_len, batch, in) → (seq_len, batch, out)."""

    def __init__(self, task: Task, cell: str, hidden_size: int, options: Mapping[str, Any]) -> None:
        super().__init__()
        make: Callable[..., Recurrent] = getattr(layers, cell)
        try:
            self.layer = make(task.input_size, hidden_size, **options)
        except TypeError as error:
            raise OptionError(f"{cell} does not take these options: {error}") from None
        self.output = nn.Linear(self.layer.options.output_size, task.output_size)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        hidden, _ = self.layer(input)
        output: Tensor = self.output(hidden)
        return output


def train(
    model: Model,
    task: Task,
    optimiser: torch.optim.Optimizer,
    held_out: Batch,
    *,
    generator: torch.Generator,
    steps: int,
    batch_size: int,
    clip_norm: float | None,
    evaluations: int,
    stop_below: float | None,
    report: Callable[[Progress], None],
) -> Trained:
    """Trains `model` in place; see `Experiment` for the arguments."""
    history: list[Progress] = []
    losses: list[float] = []
    norms: list[float] = []
    marks = {round(steps * (number + 1) / evaluations) for number in range(evaluations)} | {1}
    for step in range(1, steps + 1):
        batch = task.batch(batch_size, generator)
        loss = task.loss(model(batch.input), batch.target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        if not math.isfinite(float(norm)) or not math.isfinite(float(loss.detach())):
            return Trained(step - 1, True, tuple(history))
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(model.parameters(), clip_norm, norm)
        optimiser.step()
        losses.append(float(loss.detach()))
        norms.append(float(norm))
        if step in marks:
            found, _ = evaluate(model, task, held_out)
            history.append(Progress(step, sum(losses) / len(losses), found, sum(norms) / len(norms)))
            report(history[-1])
            losses, norms = [], []
            if stop_below is not None and found < stop_below:
                return Trained(step, False, tuple(history))
    return Trained(steps, False, tuple(history))


@torch.no_grad()
def evaluate(model: Model, task: Task, batch: Batch) -> tuple[float, float]:
    """Loss and score, in evaluation mode; the model's mode is as before afterwards."""
    was_training = model.training
    model.eval()
    output = model(batch.input)
    model.train(was_training)
    return float(task.loss(output, batch.target)), task.score(output, batch.target)
