"""`throughtime diagnose`: how gradients flow through time in a trained model."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from throughtime.cli.console import counting, one_blas_thread
from throughtime.spec.errors import DataError, OptionError

if TYPE_CHECKING:
    from throughtime.text.reading import Source

PICTURE: Final = "gradient-flow.png"
NUMBERS: Final = "gradient-flow.json"


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
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for picture and numbers.", show_default="DIR/diagnosis")
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="Texts to measure on, drawn from all.")] = 32,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the draw of texts.")] = 0,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts.", show_default="guessed")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the labels.", show_default="guessed")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as one JSON object.")] = False,
) -> None:
    """Measure how gradients flow through time in a model: table, verdict, advice; a picture and JSON beside them.

    Writes gradient-flow.png (and -dark.png) and gradient-flow.json.
    """
    if limit < 1:
        raise OptionError(f"--limit must be at least 1, but is {limit}")
    one_blas_thread()
    from throughtime.runtime.atomic import write_file
    from throughtime.runtime.model_dir import read_model_directory
    from throughtime.text.reading import Columns, open_source

    directory = read_model_directory(model)
    texts, labels = _drawn(open_source(data, Columns(text=text_column, label=label_column)), limit, seed)
    from throughtime.text.training.gradient_flow import measure_directory

    flow = measure_directory(directory, texts, labels)
    folder = model / "diagnosis" if out is None else out
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / NUMBERS, flow.to_json().encode())
    flow.plot(folder / PICTURE)
    flow.plot((folder / PICTURE).with_stem(f"{Path(PICTURE).stem}-dark"), theme="dark")
    typer.echo(flow.to_json() if as_json else f"{flow}\n\n{folder / PICTURE} and {NUMBERS}")


def _drawn(source: "Source", limit: int, seed: int) -> tuple[list[str], list[str]]:
    """A sample of all rows, in one pass, every row as likely as any other."""
    rng, kept, seen = random.Random(seed), list[tuple[str, str]](), 0
    with counting("read") as count:
        for batch in source.rows():
            if batch.labels is None:
                raise DataError(f"{source.name} has no labels: diagnose needs them; name their column (--label-column)")
            for pair in zip(batch.texts, batch.labels, strict=True):
                seen += 1
                place = len(kept) if len(kept) < limit else rng.randrange(seen)
                if place == len(kept):
                    kept.append(pair)
                elif place < limit:
                    kept[place] = pair
            count(len(batch.texts))
    if not kept:
        raise DataError(f"{source.name} holds no texts: give a file or folder that does")
    return [text for text, _ in kept], [label for _, label in kept]
