"""Progress of training on standard error: a live bar on a terminal, plain lines elsewhere, a row an epoch on both."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from throughtime.runtime.model_dir import SCRATCH
from throughtime.text.request import STATE_FILE
from throughtime.text.training.reporter import EpochRecord, Reporter

PLAIN_EVERY_SECONDS = 15.0
ROWS = 40
"""Of the table of epochs, about: of small data there may be more than a thousand epochs."""


@contextmanager
def console_reporter(out: Path | None = None) -> Iterator[Reporter]:
    """A Reporter for this process's standard error; on a stop by hand it says how a run in `out` goes on."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    reporter: Live | Plain = Live(console) if console.is_terminal else Plain(console)
    try:
        with reporter:
            yield reporter
    except KeyboardInterrupt:
        if out is not None and (out / SCRATCH / STATE_FILE).exists():
            console.print(
                f"stopped; the same command with --resume goes on (without --force; state in {out})", markup=False
            )
        raise


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


class Table:
    """The lines that both kinds of output share: the model, then one row an epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.epochs = 0
        self._header_due = True
        self._best = 0  # epoch that no row has told of
        self._untold: EpochRecord | None = None

    def say(self, text: str) -> None:
        self.console.print(text, markup=False)

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None:
        self.epochs = epochs
        self.say(summary)
        sizes = f"{_counted(epochs, 'epoch')}, {_counted(steps, 'step')}"
        rule = f"; a row every {self._every()} epochs" if self._every() > 1 else ""
        self.say((f"resuming at step {first_step} of {steps}" if first_step else sizes) + rule)

    def epoch(self, record: EpochRecord, best: bool) -> None:
        """A row, where it is this epoch's turn, or there is more to tell than numbers."""
        if best:
            self._best = record.epoch
        if record.epoch % self._every() and not self._header_due and not record.skipped_steps:
            self._untold = record
        else:
            self._row(record)

    def end(self) -> None:
        """The last epoch has a row, whichever it is: patience or an error may end a run early."""
        if self._untold is not None:
            self._row(self._untold)

    def _row(self, record: EpochRecord) -> None:
        if self._header_due:
            self.say("  epoch   train loss    acc   valid loss    acc   seconds   tokens/s")
            self._header_due = False
        told = "" if not self._best else "  best" if self._best == record.epoch else f"  best: epoch {self._best}"
        self._best, self._untold = 0, None
        skipped = f"  {_counted(record.skipped_steps, 'step')} skipped" if record.skipped_steps else ""
        self.say(
            f"{record.epoch:>4}/{self.epochs:<3}"
            f"{_shown(record.train_loss):>11} {_shown(record.train_accuracy):>6}  "
            f"{_shown(record.validation_loss):>11} {_shown(record.validation_accuracy):>6}"
            f"{record.seconds:>10.1f} {record.tokens_per_second:>10,.0f}{told}{skipped}"
        )

    def _every(self) -> int:
        return -(-self.epochs // ROWS)

    def note(self, message: str) -> None:
        self.say(message)

    def warn(self, message: str) -> None:
        self.say(f"warning: {message}")


class Live(Table):
    """A bar for preparation, then one for the steps of the run."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> "Live":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self.progress.stop()

    def stage(self, name: str, done: int, total: int | None) -> None:
        if name not in self._stages:
            self._finish_stages()
            self._stages[name] = self.progress.add_task(name, total=total, note="")
        self.progress.update(self._stages[name], completed=done, total=total)

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None:
        self._finish_stages()
        super().start(summary, epochs, steps, first_step)
        self._task = self.progress.add_task("training", total=steps, completed=first_step, note="")

    def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
        note = f"epoch {epoch + 1}/{self.epochs}  loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s"
        self.progress.update(self._task, completed=step, note=note)

    def _finish_stages(self) -> None:
        for task in self._stages.values():
            self.progress.remove_task(task)
        self._stages.clear()


class Plain(Table):
    """A line now and then, for a log file."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._stage = ""
        self._said = time.monotonic()
        self._steps = 0

    def __enter__(self) -> "Plain":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def stage(self, name: str, done: int, total: int | None) -> None:
        if name != self._stage:
            self._stage = name
            self.say(name)
        elif self._due():
            self.say(f"{name}: {done:,}" + (f" of {total:,}" if total else ""))

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None:
        super().start(summary, epochs, steps, first_step)
        self._steps = steps

    def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
        if self._due():
            self.say(f"step {step:,} of {self._steps:,}: loss {loss:.3f}, {tokens_per_second:,.0f} tokens/s")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._said < PLAIN_EVERY_SECONDS:
            return False
        self._said = now
        return True


def _shown(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.3g}"
