"""What a run shows of an epoch."""

import io
from collections.abc import Iterable

import pytest
from rich.console import Console

from throughtime.text.progress import Plain
from throughtime.text.training.reporter import EpochRecord

FIELDS: dict[str, object] = {
    "epoch": 3,
    "step": 30,
    "train_loss": 0.25,
    "train_accuracy": 0.9,
    "validation_loss": None,
    "validation_accuracy": None,
    "validation_macro_f1": None,
    "learning_rate": 0.001,
    "gradient_norm": 1.0,
    "skipped_steps": 0,
    "seconds": 2.0,
    "tokens_per_second": 12345.6,
    "peak_memory_mb": 500.0,
}


def record(**fields: object) -> EpochRecord:
    return EpochRecord(**(FIELDS | fields))  # type: ignore[arg-type]


def shown(**fields: object) -> str:
    stream = io.StringIO()
    table = Plain(Console(file=stream, width=200))
    table.start("a model", 9, 90, 0)
    table.epoch(record(**fields), best=False)
    return stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({}, ["3/9", "0.2500", "0.9000", "–", "–", "2.0", "12,346"]),
        (
            {"train_loss": None, "train_accuracy": None, "skipped_steps": 10},
            ["3/9", "–", "–", "–", "–", "2.0", "12,346", "10", "steps", "skipped"],
        ),
        ({"skipped_steps": 1}, ["3/9", "0.2500", "0.9000", "–", "–", "2.0", "12,346", "1", "step", "skipped"]),
        ({"train_loss": 3e7}, ["3/9", "3e+07", "0.9000", "–", "–", "2.0", "12,346"]),
    ],
)
def test_the_line_of_an_epoch(fields: dict[str, object], columns: list[str]) -> None:
    assert shown(**fields).split() == columns


def test_columns_stay_in_their_place() -> None:
    lines = [shown(train_loss=loss) for loss in (0.25, 99999.0, 3e7, None)]
    assert len({line.index("12,346") for line in lines}) == 1


def rows_of(epochs: int, records: Iterable[tuple[EpochRecord, bool]], first_step: int = 0) -> tuple[str, list[str]]:
    """The line of sizes and the rows of a run of `epochs` of which these were done."""
    stream = io.StringIO()
    with Plain(Console(file=stream, width=200)) as table:
        table.start("a model", epochs, epochs, first_step)
        for done, best in records:
            table.epoch(done, best)
    _, sizes, _, *lines = stream.getvalue().splitlines()
    return sizes, lines


@pytest.mark.parametrize(("epochs", "rows"), [(40, 40), (41, 22), (1400, 41)])
def test_many_epochs_have_few_rows(epochs: int, rows: int) -> None:
    sizes, lines = rows_of(epochs, ((record(epoch=epoch), False) for epoch in range(1, epochs + 1)))
    assert len(lines) == rows
    assert [line.split()[0] for line in (lines[0], lines[-1])] == [f"1/{epochs}", f"{epochs}/{epochs}"]
    assert ("a row every" in sizes) == (epochs > 40)


def test_rows_tell_the_best_of_the_epochs_before_them_and_skipped_steps_have_their_own() -> None:
    done = [(record(epoch=epoch, skipped_steps=int(epoch == 7)), epoch in (2, 3, 15)) for epoch in range(1, 16)]
    told = [line.split("12,346")[1].split() for line in rows_of(200, done)[1]]
    assert told == [[], ["best:", "epoch", "3"], ["1", "step", "skipped"], [], ["best"]]


def test_the_epoch_that_ends_a_run_early_has_a_row() -> None:
    done = [(record(epoch=epoch), epoch in (2, 27)) for epoch in range(1, 31)]
    first, last = rows_of(1400, done)[1]
    assert (first.split()[0], last.split()[0]) == ("1/1400", "30/1400")
    assert last.endswith("best: epoch 27")


def test_a_run_that_goes_on_has_a_row_at_once() -> None:
    sizes, lines = rows_of(1400, ((record(epoch=epoch), False) for epoch in range(37, 72)), first_step=36)
    assert sizes == "resuming at step 36 of 1400; a row every 35 epochs"
    assert [line.split()[0] for line in lines] == ["37/1400", "70/1400", "71/1400"]
