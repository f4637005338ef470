"""`throughtime data check`: what is in labelled data, and what is wrong with it, before any training."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from throughtime.spec.errors import DataError

if TYPE_CHECKING:
    from throughtime.text.checking import CheckReport, Distribution

_SHOWN_CLASSES: Final = 20
_SECONDS_BETWEEN_LINES: Final = 10.0

data_app = typer.Typer(name="data", help="Look at data before training.", no_args_is_help=True)


@data_app.callback()
def data() -> None:
    """Look at data before training."""


@data_app.command("check")
def check_command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder a class, a .csv, .tsv, .jsonl or .parquet file, or imdb.",
            show_default=False,
        ),
    ],
    test: Annotated[
        str | None, typer.Option(metavar="DATA", help="A test set: also report what it shares with DATA.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts; guessed where plain.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the labels; guessed where plain.")
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of what must not be split (movie, author, …).")
    ] = None,
    unlabelled: Annotated[bool, typer.Option("--unlabelled", help="The texts have no labels.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Read all of DATA and report classes, lengths, empty and repeated texts, and what would harm training.

    Ends with exit code 2 where DATA cannot be read or cannot be trained on. That only the default recipe refuses DATA
    stands in the last line (and as "refused" in JSON), with exit code 0.
    """
    from throughtime.text.checking import check
    from throughtime.text.reading import Columns, open_source

    columns = Columns(text=text_column, label=label_column, group=group_column)
    source = open_source(data, columns, labelled=not unlabelled)
    other = open_source(test, columns, labelled=not unlabelled) if test is not None else None
    with _counting_rows() as progress:
        report = check(source, other, progress)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report)
    if report.problems:
        raise DataError(report.problems[0])


@contextmanager
def _counting_rows() -> Iterator[Callable[[int], None]]:
    """Shows on stderr how many rows were read: live on a terminal, a line every few seconds elsewhere."""
    total = 0
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("reading …") as status:

            def live(rows: int) -> None:
                nonlocal total
                total += rows
                status.update(f"reading … {total:,} rows")

            yield live
        return
    said = time.monotonic()

    def plain(rows: int) -> None:
        nonlocal total, said
        total += rows
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            print(f"read {total:,} rows", file=sys.stderr, flush=True)

    yield plain


def _show(report: "CheckReport") -> None:
    if sys.stdout.isatty():
        _show_tables(report)
        return
    for part in _parts(report):
        for key, value in _facts(part):
            print(f"{key}: {value}")
        for label, rows, share in _classes(part):
            print(f"class {label}: {rows} ({share})")
        print()
    for kind, message in _findings(report):
        print(f"{kind}: {message}")
    print(_verdict(report))


def _show_tables(report: "CheckReport") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for part in _parts(report):
        facts = Table(show_header=False, box=None, pad_edge=False)
        facts.add_column(style="bold", no_wrap=True)
        facts.add_column(overflow="fold")
        for key, value in _facts(part):
            facts.add_row(key, Text(value))
        console.print(facts)
        classes = _classes(part)
        if classes:
            table = Table("class", title_justify="left", box=None, header_style="bold", pad_edge=False)
            table.add_column("rows", justify="right")
            table.add_column("share", justify="right")
            for label, rows, share in classes:
                table.add_row(Text(label), rows, share)
            console.print()
            console.print(table)
        console.print()
    for kind, message in _findings(report):
        style = "bold red" if kind == "problem" else "bold yellow"
        console.print(Text.assemble((f"{kind}: ", style), message))
    console.print(Text(_verdict(report), style="bold"))


def _parts(report: "CheckReport") -> list["CheckReport"]:
    return [report] if report.test is None else [report, report.test]


def _facts(report: "CheckReport") -> list[tuple[str, str]]:
    facts = [("data", report.name), ("rows", f"{report.rows:,}")]
    if report.classes is not None:
        kind = {"str": "strings", "int": "integers", "bool": "booleans", "float": "floats"}[report.label_kind]
        facts.append(("classes", f"{len(report.classes):,} ({kind})"))
    if report.groups is not None:
        facts.append(("groups", f"{report.groups:,} (largest: {report.largest_group:,} rows)"))
    return [
        *facts,
        ("words a text", _spread(report.words)),
        ("characters a text", _spread(report.characters)),
        ("longest text", report.longest),
        ("empty texts", f"{report.empty_texts:,}"),
        ("repeated texts", f"{report.duplicate_texts:,}"),
        ("texts with several labels", f"{report.conflicting_texts:,}"),
    ]


def _spread(numbers: "Distribution") -> str:
    return (
        f"min {numbers.minimum:,}, median {numbers.median:,.0f}, mean {numbers.mean:,.0f}, "
        f"95 % up to {numbers.percentile_95:,.0f}, max {numbers.maximum:,}"
    )


def _classes(report: "CheckReport") -> list[tuple[str, str, str]]:
    """(label, rows, share) of each class, the largest first; many small ones are put together."""
    from throughtime.text.reading.files import shown

    if report.classes is None:
        return []
    counts = list(report.classes.items())
    rest = counts[_SHOWN_CLASSES:]
    lines = [(shown(label), rows) for label, rows in counts[:_SHOWN_CLASSES]]
    if rest:
        lines.append((f"… {len(rest):,} more", sum(rows for _, rows in rest)))
    return [(label, f"{rows:,}", f"{rows / report.rows:.1%}") for label, rows in lines]


def _findings(report: "CheckReport") -> list[tuple[str, str]]:
    parts = _parts(report)
    return [("problem", message) for part in parts for message in part.problems] + [
        ("warning", f"{part.name}: {message}") for part in parts for message in part.warnings
    ]


def _verdict(report: "CheckReport") -> str:
    if report.problems:
        return "This data cannot be trained on as it is."
    if not _findings(report):
        return "Nothing is wrong with this data."
    if report.refused:
        return "The default recipe refuses this data as it is; see the warnings."
    return "This data can be used." if report.classes is None else "This data can be trained on; mind the warnings."
