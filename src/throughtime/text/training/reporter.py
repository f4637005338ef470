"""What a run tells the outside as it goes. The command line draws it; a library stays silent unless asked."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class EpochRecord:
    """One line of history.jsonl. Losses are means a text; validation_* are None without a validation part.

    train_* and gradient_norm are of the steps that were taken, None where all were skipped.
    gradient_norm: mean norm before clipping. seconds: training and validation of this epoch. tokens_per_second: tokens
    that went through the model, without padding, segments left out, and validation. peak_memory_mb: resident, of the
    whole process so far. gradient_flow: for each direction of each layer what gradients are
    multiplied by on their way back through time, see `flow_watch.FlowWatch`; None where it is not measured.
    """

    epoch: int
    step: int
    train_loss: float | None
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    validation_macro_f1: float | None
    learning_rate: float
    gradient_norm: float | None
    skipped_steps: int
    seconds: float
    tokens_per_second: float
    peak_memory_mb: float
    gradient_flow: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Reporter(Protocol):
    """Receiver of a run's messages; every method may be called often and must be cheap."""

    def stage(self, name: str, done: int, total: int | None) -> None:
        """Preparation: `done` of `total` (None: unknown) units of the stage `name` are finished."""

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None:
        """Training starts (or goes on) at `first_step` of `steps`; `summary` describes the model, a layer a line."""

    def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
        """Step `step` is done."""

    def epoch(self, record: EpochRecord, best: bool) -> None:
        """An epoch is done; `best` when its weights are the best so far."""

    def note(self, message: str) -> None:
        """Something worth a line."""

    def warn(self, message: str) -> None:
        """Something a person should know; the run goes on."""


class Silent:
    """A Reporter that says nothing."""

    def stage(self, name: str, done: int, total: int | None) -> None: ...

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None: ...

    def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None: ...

    def epoch(self, record: EpochRecord, best: bool) -> None: ...

    def note(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...
