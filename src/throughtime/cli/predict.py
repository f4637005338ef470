"""`throughtime predict`: texts in, one JSON line a text out. No torch."""

import fcntl
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, cast

import typer

from throughtime.cli.console import counting
from throughtime.cli.process import one_blas_thread
from throughtime.cli.text_lines import STDIN, arriving_lines, text_lines
from throughtime.spec.errors import OptionError

if TYPE_CHECKING:
    from throughtime.runtime import Predictor
    from throughtime.runtime.predictor import Portion

_STDOUT: Final = "-"
_STDIN_NAMES: Final = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")
_LINES_AT_ONCE: Final = 2048


def predict(
    model: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `throughtime train` wrote.", show_default=False)
    ],
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="Texts to classify; - alone: standard input.", show_default=False),
    ] = None,
    input_: Annotated[
        str | None,
        typer.Option(
            "--input",
            "-i",
            metavar="FILE",
            help="Texts from a .txt file (one a line), a .csv, .tsv, .jsonl or .parquet file, or - (standard input, "
            "one a line).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="File to write, whole or not at all; -: standard output."),
    ] = _STDOUT,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the texts in FILE.", show_default="guessed")
    ] = None,
    echo: Annotated[bool, typer.Option("--text/--no-text", help="Whether to repeat each text in its line.")] = True,
) -> None:
    """Classify texts: one JSON line a text, with its label and the probability of each class.

    Without TEXT and FILE, texts come from standard input, one a line, where that is no terminal.
    A text without a single token (empty, or white space only) gets each class's share among the training texts.
    """
    if texts and input_ is not None:
        raise OptionError("give texts or --input FILE, not both")
    if "" in (input_, output):  # a variable of the shell that is not set; as a path it would be this folder
        raise OptionError("an empty file name: give --input and --output the name of a file, or -")
    if texts == [STDIN] or input_ in _STDIN_NAMES:
        texts, input_ = None, STDIN
    if not texts and input_ is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise OptionError("no text: give texts, or --input FILE (- for standard input)")
        input_ = STDIN
    if input_ is not None:
        _require_apart(input_, output)
    if text_column is not None and (input_ is None or _is_lines(input_)):
        raise OptionError("--text-column needs an --input file with columns (.csv, .tsv, .jsonl or .parquet)")
    one_blas_thread()
    from throughtime.runtime import Predictor

    predictor = Predictor.load(model)
    if input_ is None:
        portions = predictor.stream(texts or [])
    elif input_ != STDIN and Path(input_).is_file():
        _check_all(input_, text_column)
        portions = predictor.stream(_read(input_, text_column), ahead=True)
    elif _is_lines(input_):  # someone may type them, or wait for the answer to one line before writing the next
        arriving = arriving_lines(input_, _LINES_AT_ONCE)
        portions = (portion for lines in arriving for portion in predictor.stream(lines))
    else:
        _check_all(input_, text_column)
        portions = predictor.stream(_read(input_, text_column))
    with _destination(output) as stream:
        _write(predictor, portions, stream, echo=echo, quiet=stream is sys.stdout.buffer and sys.stdout.isatty())


def _write(predictor: "Predictor", portions: "Iterable[Portion]", stream: BinaryIO, *, echo: bool, quiet: bool) -> None:
    from throughtime.runtime.well_formed import well_formed

    names, labels = predictor.config.labels, predictor.labels
    with counting("predicted") as count:
        for texts, probabilities in portions:
            for text, row in zip(texts, probabilities.tolist(), strict=True):
                result: dict[str, object] = {"text": well_formed(text)} if echo else {}
                result["label"] = labels[row.index(max(row))]
                result["probabilities"] = {name: round(p, 6) for name, p in zip(names, row, strict=True)}
                stream.write(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            stream.flush()
            if not quiet:
                count(len(texts))


@contextmanager
def _destination(output: str) -> Iterator[BinaryIO]:
    from throughtime.runtime.atomic import atomic_file, output_error

    stream = _open_stream(output)
    if stream is not None:
        try:
            yield stream
            stream.flush()
        except BrokenPipeError:  # whoever read our output has seen enough
            raise
        except OSError as error:
            raise output_error(error, "standard output" if output == _STDOUT else output) from error
        return
    with atomic_file(output) as file:
        yield file


def _open_stream(output: str) -> BinaryIO | None:
    """What is open already, by whatever name: to replace a file behind it would lose what others write there."""
    if output == _STDOUT:
        return cast("BinaryIO", sys.stdout.buffer)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # no such file, or a stream without one
            if os.path.samestat(os.stat(output), os.fstat(stream.fileno())):  # noqa: PTH116 also of what is no path
                return cast("BinaryIO", stream.buffer)
    number = _DESCRIPTOR.fullmatch(output)
    if number is None:
        return None
    try:
        if fcntl.fcntl(int(number[1]), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OptionError(f"--output {output}: open for reading only")
        return os.fdopen(int(number[1]), "wb", closefd=False)
    except OSError as error:
        raise OptionError(f"--output {output}: no file is open under this number ({error.strerror})") from None


def _require_apart(input_: str, output: str) -> None:
    """Refuses to write where texts are read: results would replace them, or be read as texts without end."""
    if _is_read(input_, output):
        name = "standard output" if output == _STDOUT else f"--output {output}"
        raise OptionError(f"{name} is a file that the texts are read from: choose another place")


def _is_read(input_: str, output: str) -> bool:
    with suppress(OSError, ValueError, AttributeError):  # none of its kind, or not yet there
        source = os.fstat(sys.stdin.fileno()) if input_ == STDIN else Path(input_).stat()
        target = os.fstat(sys.stdout.fileno()) if output == _STDOUT else Path(output).stat()
        if stat.S_ISDIR(source.st_mode):
            return output != _STDOUT and Path(output).resolve().is_relative_to(Path(input_).resolve())
        return stat.S_ISREG(source.st_mode) and os.path.samestat(source, target)
    return False


def _is_lines(source: str) -> bool:
    """Whether it is read line by line: standard input, a .txt file, and what is neither file nor folder (a pipe)."""
    path = Path(source)
    is_pipe = path.exists() and not path.is_file() and not path.is_dir()
    return source == STDIN or source.lower().endswith(".txt") or is_pipe


def _read(source: str, text_column: str | None) -> Iterator[str]:
    if _is_lines(source):
        yield from text_lines(source)
        return
    from throughtime.text.reading import ENDINGS, Columns, open_source
    from throughtime.text.reading.files import shown, shown_path

    path = Path(source)
    if source != "imdb" and path.is_file() and not source.lower().endswith(ENDINGS):
        raise OptionError(
            f"{shown_path(path)}: a format that is not known ('{shown(path.suffix)}'); give a .txt file (one text a "
            "line), a .csv, .tsv, .jsonl or .parquet file, or - for standard input (one text a line)"
        )
    for batch in open_source(source, Columns(text=text_column), labelled=False).rows():
        yield from batch.texts


def _check_all(source: str, text_column: str | None) -> None:
    """Read all of a file before the first result is written, for bad input to leave no half result."""
    for _ in _read(source, text_column):
        pass
