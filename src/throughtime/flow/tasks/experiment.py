"""A seeded experiment: a cell, a task, so many steps; then its score and the flow of its gradients."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import torch

from throughtime.flow.measure import measure
from throughtime.flow.result import GradientFlow
from throughtime.flow.tasks.adding import Adding
from throughtime.flow.tasks.copying import CopyMemory
from throughtime.flow.tasks.digits import SequentialDigits
from throughtime.flow.tasks.parity import Parity
from throughtime.flow.tasks.task import Batch, Task
from throughtime.flow.tasks.training import Model, Progress, evaluate, train
from throughtime.spec.cells import GATES
from throughtime.spec.errors import OptionError

TASKS: Final[dict[str, Callable[..., Task]]] = {
    task.name: task for task in (Adding, CopyMemory, Parity, SequentialDigits)
}
OptimiserName: TypeAlias = Literal["adam", "rmsprop", "sgd"]
_OPTIMISERS: Final[dict[str, Callable[..., torch.optim.Optimizer]]] = {
    "adam": torch.optim.Adam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
_MEASURED: Final = 16
"""Held-out sequences that the flow is measured on."""


@dataclass(frozen=True)
class Experiment:
    """Everything that decides an experiment's numbers; equal ones on one type of machine give the same, bit for bit.

    Args:
        task: "adding", "copy", "parity" or "digits".
        cell: "RNN", "GRU", "LSTM", "MinGRU", "MinLSTM" or "IndRNN".
        length: the task's; None for its usual one.
        hidden_size: units, one layer.
        options: further arguments of the layer: nonlinearity, forget_bias, init, layer_norm, …
        task_options: further arguments of the task.
        steps: of training, each on a fresh batch.
        stop_below: training ends once the held-out loss is below this; None never.
        optimiser, learning_rate, clip_norm: clip_norm None leaves the gradient as it is.
        held_out: sequences for the score.
        evaluations: how often, evenly over the steps, the held-out loss is taken.
        seed: of weights and data.
    """

    task: str
    cell: str
    length: int | None = None
    hidden_size: int = 64
    options: Mapping[str, Any] = field(default_factory=dict)
    task_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 2000
    batch_size: int = 64
    stop_below: float | None = None
    optimiser: OptimiserName = "adam"
    learning_rate: float = 0.003
    clip_norm: float | None = 1.0
    held_out: int = 512
    evaluations: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("task", tuple(TASKS)), ("cell", tuple(GATES)), ("optimiser", get_args(OptimiserName))):
            if getattr(self, name) not in known:
                raise OptionError(f"{name} must be one of {', '.join(known)}, but is {getattr(self, name)!r}")
        for name in ("hidden_size", "steps", "batch_size", "held_out", "evaluations"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if not 0 <= self.seed < 2**64:
            raise OptionError(f"seed must be from 0 to 2^64 - 1, but is {self.seed}")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise OptionError(f"{name} must be a number above 0, but is {value}")


@dataclass(frozen=True)
class Outcome:
    """What came of an experiment.

    loss: on held-out sequences; baseline: of the task, as `Task` has it: what the best predictor without memory, which
    knows step and input, expects over all sequences. score: the task's metric. diverged: the loss or the gradient was
    not finite, and training ended there with the last finite weights. flow: measured on held-out sequences with the
    task's loss; None where it diverged so far that float64 cannot hold the states.
    """

    experiment: Experiment
    steps: int
    loss: float
    baseline: float
    metric: str
    score: float
    diverged: bool
    history: tuple[Progress, ...]
    flow: GradientFlow | None

    def to_dict(self) -> dict[str, Any]:
        """All but the flow, in Python's own types."""
        values = asdict(self.experiment)
        return {
            "experiment": values | {"options": dict(values["options"]), "task_options": dict(values["task_options"])},
            "steps": self.steps,
            "loss": self.loss,
            "baseline": self.baseline,
            "metric": self.metric,
            "score": self.score,
            "diverged": self.diverged,
            "verdict": None if self.flow is None else self.flow.verdict,
            "history": [asdict(progress) for progress in self.history],
        }


def make_task(experiment: Experiment) -> Task:
    """Raises:
    OptionError: an option that the task does not have, or one with a wrong value.
    """
    length = {} if experiment.length is None else {"length": experiment.length}
    try:
        return TASKS[experiment.task](**length, **experiment.task_options)
    except TypeError as error:
        raise OptionError(f"task {experiment.task} does not take these options: {error}") from None


def scored_sequences(experiment: Experiment) -> Batch:
    """The held-out sequences that `run` scores on.

    Raises:
        OptionError: as `make_task`.
    """
    return make_task(experiment).held_out(experiment.held_out, _generator(experiment.seed, 1))


def run(experiment: Experiment, report: Callable[[Progress], None] = lambda progress: None) -> Outcome:
    """Trains, scores and measures. torch's own generator is left as it was.

    Args:
        report: called at each evaluation.
    Raises:
        OptionError: an option that the layer or task does not have, or one with a wrong value.
    """
    task = make_task(experiment)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        model = Model(task, experiment.cell, experiment.hidden_size, experiment.options)
        make_optimiser = _OPTIMISERS[experiment.optimiser]
        held_out = scored_sequences(experiment)
        trained = train(
            model,
            task,
            make_optimiser(model.parameters(), lr=experiment.learning_rate),
            held_out,
            generator=_generator(experiment.seed, 0),
            steps=experiment.steps,
            batch_size=experiment.batch_size,
            clip_norm=experiment.clip_norm,
            evaluations=experiment.evaluations,
            stop_below=experiment.stop_below,
            report=report,
        )
    loss, score = evaluate(model, task, held_out)
    target = held_out.target[..., :_MEASURED]
    flow = None
    try:
        flow = measure(
            model.layer,
            held_out.input[:, :_MEASURED],
            loss=lambda output, state: task.loss(model.output(output), target),
        )
    except OptionError:
        if not trained.diverged:
            raise
    return Outcome(
        experiment=experiment,
        steps=trained.steps,
        loss=loss,
        baseline=task.baseline,
        metric=task.metric,
        score=score,
        diverged=trained.diverged,
        history=trained.history,
        flow=None if flow is None else replace(flow, loss=f"that of task {task.name}"),
    )


def _generator(seed: int, number: int) -> torch.Generator:
    """Of the training sequences (0) and of the held-out ones (1); unrelated between numbers and seeds."""
    drawn = np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(drawn >> 1))
