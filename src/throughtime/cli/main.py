"""`throughtime`: puts the commands together, and turns every error of ours into one line and an exit code.

Exit codes: 0 done, 1 a defect of ours (with its traceback) or a reader of our output that went away, 2 bad input or
usage, 130 interrupted.
"""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from throughtime import OF_TRAIN, __version__
from throughtime.spec.errors import ThroughtimeError

_COMMANDS: Final = {
    "train": ("throughtime.cli.train", "train", "Labelled texts in, a model directory out."),
    "evaluate": ("throughtime.cli.evaluate", "evaluate", "Accuracy, F1, calibration, confusion matrix."),
    "predict": ("throughtime.cli.predict", "predict", "Labels and probabilities of texts, as JSON Lines."),
    "diagnose": ("throughtime.cli.diagnose", "diagnose", "How gradients flow through time, a verdict, a picture."),
    "data": ("throughtime.cli.data", "data_app", "What is in data, and what is wrong with it."),
    "recipe": ("throughtime.cli.recipe", "recipe_app", "The configurations that come with the package."),
}
"""Name → module, its function or typer application, and a line for the list of commands."""
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TORCH_OUT_OF_MEMORY: Final = "DefaultCPUAllocator: can't allocate memory"
# What typer raises for a wrong command line: public only as the base of its BadParameter, in every version of it.
_WrongUsage: Final[Any] = typer.BadParameter.__mro__[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process) and return its exit code; without arguments, show the help."""
    if sys.stderr is None:
        _open_stderr()
    if sys.stdout is None:
        return _fail("standard output is closed: give it somewhere to go (a file, or /dev/null)")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character must not end a command
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code = _guarded(given)
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop_stdout()
        if code == 0:  # else the reason has been said
            code = 1 if error.errno == errno.EPIPE else _fail(f"cannot write standard output: {_reason(error)}")
    return code


def _guarded(arguments: list[str]) -> int:
    try:
        result = _application(arguments)(arguments, prog_name="throughtime", standalone_mode=False)
    except ThroughtimeError as error:
        return _fail(str(error))
    except _WrongUsage as error:
        return _usage(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        result = 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in OF_TRAIN:
            raise
        return _fail(f"{missing} is not installed, and this needs it: pip install 'throughtime[train]'")
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _TORCH_OUT_OF_MEMORY not in str(error):
            raise
        return _fail("out of memory: close other programs, or give less at once")
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        return _fail(f"cannot write {error.filename or 'a result'}: {_reason(error)}")
    if result == 130:
        print("throughtime: interrupted", file=sys.stderr)
    return result if isinstance(result, int) else 0


def _application(arguments: list[str]) -> typer.Typer:
    """The typer application with the command that is asked for, or with all where none is."""
    app = typer.Typer(
        callback=_callback,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # rich's help takes twice as long to load as all the rest
    )
    for name in [arguments[0]] if arguments[0] in _COMMANDS else _COMMANDS:
        module, attribute, line = _COMMANDS[name]
        command = getattr(import_module(module), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, short_help=line)
        else:
            app.command(name, short_help=line)(command)
    return app


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"throughtime {__version__}")
        raise typer.Exit


def _callback(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, evaluate and use recurrent text classifiers on the machine you have.

    DATA is a folder with a folder a class, a .csv, .tsv, .jsonl or .parquet file, or imdb.
    """


def _usage(error: Any, arguments: list[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: the message is its help
        print(error.format_message())
        return 0
    context = getattr(error, "ctx", None)
    command = ["throughtime", arguments[0]] if arguments[0] in _COMMANDS else ["throughtime"]
    path = context.command_path if context is not None else " ".join(command)
    hint = ""
    if arguments[0] == "predict" and type(error).__name__ == "NoSuchOption" and not error.possibilities:
        hint = "; before a text that begins with - give --"
    return _fail(f"{error.format_message()}{hint} (see: {path} --help)")


def _fail(message: str) -> int:
    """Says it on one line. What it quotes of a file may hold commands for a terminal: they are shown, not sent."""
    line = " ".join(message.split())
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    print(f"throughtime: error: {shown}", file=sys.stderr)
    return 2


def _reason(error: OSError) -> str:
    if error.errno in _DISK_FULL:
        return "the disk is full: make room, or write to another disk"
    return f"{error.strerror or error}"


def _open_stderr() -> None:
    """Where standard error is closed, what is said there goes nowhere.

    That is, neither among the results, nor into the next file that is opened and would have its number.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != 2:
        os.dup2(nowhere, 2)
        if nowhere > 2:
            os.close(nowhere)
    sys.stderr = os.fdopen(2, "w", closefd=False)


def _drop_stdout() -> None:
    """Let what is left in the buffer of stdout go nowhere, for the interpreter's last flush to succeed."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 a device, not a path of ours
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
