"""What a run shows of an epoch."""

import io

import pytest
from rich.console import Console

from throughtime.text.progress import Plain
from throughtime.text.training.reporter import EpochRecord


def shown(**fields: object) -> str:
    values: dict[str, object] = {
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
    stream = io.StringIO()
    table = Plain(Console(file=stream, width=200))
    table.start("a model", 9, 90, 0)
    table.epoch(EpochRecord(**(values | fields)), best=False)  # type: ignore[arg-type]
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
