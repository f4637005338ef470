"""`throughtime diagnose`: how gradients flow through time in a trained model, with a verdict and a picture."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from throughtime.cli.console import counting
from throughtime.cli.process import loading, short_waits
from throughtime.spec.errors import DataError, OptionError

if TYPE_CHECKING:
    from throughtime.flow import GradientFlow
    from throughtime.runtime.model_dir import ModelDirectory
    from throughtime.text.reading import Source

PICTURE: Final = "gradient-flow.png"
NUMBERS: Final = "gradient-flow.json"
_SMALL: Final = 128
"""Units up to which one thread of torch is as fast as two; beside a busy program two wait for each other mostly."""


def diagnose(
    model: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `throughtime train` wrote.", show_default=False)
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder a class, a .csv, .tsv, .jsonl or .parquet file, or imdb.",
            show_default=False,
        ),
    ],
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="Measure on so many texts, drawn from all.")] = 32,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Folder for {PICTURE} (and a dark one) and {NUMBERS}.",
            show_default="that of the model",
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts.", show_default="guessed")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the labels.", show_default="guessed")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the texts that are drawn, and of random directions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON in place of the table.")] = False,
) -> None:
    """Measure how gradients flow through time: how far they reach, a verdict in words, and advice.

    Measures in evaluation mode, in float64, on the loss of the labels; the model is left as it is.
    """
    short_waits()
    from throughtime.runtime.atomic import output_error, write_file
    from throughtime.runtime.model_dir import read_model_directory
    from throughtime.text.reading import Columns, open_source

    directory = read_model_directory(model)
    if directory.config.encoder.kind == "bag":
        from throughtime.text.training.flow import require_recurrence

        require_recurrence("bag")
    source = open_source(data, Columns(text=text_column, label=label_column))
    texts, labels = _draw(source, directory.config.labels, limit, seed)
    folder = model if out is None else out
    try:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)  # before the work: a place that cannot be written to is known now
    except OSError as error:
        raise output_error(error, folder) from error
    try:
        flow = _measure(directory, texts, labels, seed)
        numbers = flow.to_json() + "\n"
        written = [folder / NUMBERS]
        write_file(written[0], numbers.encode())
        written += _pictures(flow, folder / PICTURE)
    except BaseException:
        with suppress(OSError):  # up to one that holds something
            for place in made:
                place.rmdir()
        raise
    if as_json:
        typer.echo(numbers, nl=False)
    else:
        typer.echo(f"{model} on {source.name}\n\n{flow}\n\nwritten: {', '.join(map(str, written))}")


def _measure(directory: "ModelDirectory", texts: list[str], labels: list[str], seed: int) -> "GradientFlow":
    with loading():
        from throughtime.text.training.flow import directory_flow

    _say(f"measuring on {len(texts):,} text{'' if len(texts) == 1 else 's'}")
    is_small = max(directory.config.encoder.hidden_size) <= _SMALL
    threads = 1 if is_small and "OMP_NUM_THREADS" not in os.environ else None
    return directory_flow(
        directory, texts, labels, report=lambda name: _say(f"measured {name}"), threads=threads, seed=seed
    )


def _draw(source: "Source", names: tuple[str, ...], limit: int, seed: int) -> tuple[list[str], list[str]]:
    """`limit` of the source's texts, each as likely as any other, with their labels, in the source's order.

    Raises:
        DataError: there are no labels, one that the model lacks, or no texts.
    """
    import random

    from throughtime.text.reading.labels import labelled_rows

    generator, seen = random.Random(seed), 0
    drawn: list[tuple[int, str, str]] = []
    with counting("read") as count:
        for texts, labels in labelled_rows(source, names, "diagnose"):
            for text, label in zip(texts, labels, strict=True):
                # The first `limit`, and then each in the place of a random one, less and less often.
                if seen < limit:
                    drawn.append((seen, text, label))
                elif (place := generator.randrange(seen + 1)) < limit:
                    drawn[place] = (seen, text, label)
                seen += 1
            count(len(texts))
    if not drawn:
        raise DataError(f"{source.name} holds no texts: give a file or folder that does")
    drawn.sort()
    return [text for _, text, _ in drawn], [label for *_, label in drawn]


def _pictures(flow: "GradientFlow", path: Path) -> list[Path]:
    """Those that were drawn; none, and a line that says so, where matplotlib is not installed."""
    from throughtime.flow.plot import save_themes

    try:
        return save_themes(flow, path)
    except OptionError as error:
        _say(f"no picture: {error}")
        return []


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
