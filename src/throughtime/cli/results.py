"""What `train` prints at its end, on standard output: scores, the confusion matrix, and where the model is."""

import shutil

import typer

from throughtime.runtime.report import score_table
from throughtime.text.training.run import TrainResult


def print_result(result: TrainResult) -> None:
    """The test part's scores where there is one, else the validation part's, and the files of the model."""
    if result.history is None:
        typer.echo(f"training was already finished; the model is in {result.out}")
        return
    facts = result.config.training
    typer.echo(
        f"trained in {facts['training_seconds']:,.0f} s at {facts['tokens_per_second']:,} tokens/s, "
        f"peak memory {facts['peak_memory_mb']:,} MB; "
        + (f"kept epoch {facts['best_epoch']}" if facts["best_epoch"] else "kept the last weights")
    )
    width = shutil.get_terminal_size().columns
    if result.validation is not None and result.test is not None:
        typer.echo(f"validation loss {result.validation.log_loss:.4f}, accuracy {result.validation.accuracy:.4f}")
        typer.echo(f"test loss {result.test.log_loss:.4f}, accuracy {result.test.accuracy:.4f}")
    for name, scores in (("test", result.test), ("validation", result.validation)):
        if scores is not None:
            typer.echo(f"\nheld-out {name} part\n\n{score_table(scores, width=width)}")
            break
    else:
        typer.echo("no part of the data was held out, so there is no score")
    size = sum(file.stat().st_size for file in result.out.iterdir() if file.is_file())
    typer.echo(f"\nmodel ({size / 1e6:.1f} MB): {result.out}")
    typer.echo(f'use it: throughtime predict {result.out} "some text"')
