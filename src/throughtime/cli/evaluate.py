"""`throughtime evaluate`: how good a model is on labelled texts. No torch."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from throughtime.cli.console import counting
from throughtime.cli.process import one_blas_thread
from throughtime.spec.errors import DataError

if TYPE_CHECKING:
    from throughtime.runtime import Predictor
    from throughtime.runtime.scores import Scores
    from throughtime.text.reading import Source


def evaluate(
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
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts.", show_default="guessed")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the labels.", show_default="guessed")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model on labelled texts: accuracy, F1, calibration, confusion matrix.

    Every text counts; one without a single token is predicted as the most frequent class of the training texts.
    """
    one_blas_thread()
    from throughtime.runtime import Predictor
    from throughtime.text.reading import Columns, open_source

    predictor = Predictor.load(model)
    source = open_source(data, Columns(text=text_column, label=label_column))
    scores, empty = _score(predictor, source)
    if as_json:
        result = {"model": str(model), "data": source.name, "empty_texts": empty, **scores.as_dict()}
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    from throughtime.runtime.report import score_table

    typer.echo(f"{model} on {source.name}\n")
    typer.echo(score_table(scores, width=shutil.get_terminal_size().columns, reliability=True))
    if empty:
        typer.echo(f"\n{empty:,} of the texts are empty; they were predicted as the most frequent training class")


def _score(predictor: "Predictor", source: "Source") -> tuple["Scores", int]:
    import numpy as np

    from throughtime.runtime.scores import score

    names = predictor.config.labels
    truths: list[int] = []
    predictions, empty = [], 0
    with counting("evaluated") as count:
        for texts, probabilities in predictor.stream(_texts(source, names, truths), ahead=True):
            predictions.append(probabilities)
            empty += sum(not text.strip() for text in texts)
            count(len(texts))
    if not truths:
        raise DataError(f"{source.name} holds no texts: give a file or folder that does")
    return score(np.array(truths), np.concatenate(predictions), names), empty


def _texts(source: "Source", names: tuple[str, ...], truths: list[int]) -> Iterator[str]:
    """The source's texts; the number of each one's class is added to `truths` on the way."""
    from throughtime.text.reading.labels import labelled_rows

    index = {name: number for number, name in enumerate(names)}
    for texts, labels in labelled_rows(source, names, "evaluate"):
        truths.extend(index[label] for label in labels)
        yield from texts
