"""Plain text as input: one text a line."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from throughtime.spec.errors import DataError

STDIN: Final = "-"


def text_lines(source: str) -> Iterator[str]:
    """The lines of a UTF-8 file, or of standard input ("-"), without their ends; an empty line is an empty text.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8 or holds a NUL byte; names file and line.
    """
    if source == STDIN:
        yield from _lines(sys.stdin.buffer, "standard input")
        return
    try:
        with Path(source).open("rb") as stream:
            yield from _lines(stream, source)
    except FileNotFoundError:
        raise DataError(f"{source} does not exist: give a file of texts, one a line, or - for standard input") from None
    except OSError as error:
        raise DataError(f"{source} cannot be read ({error.strerror}): make it readable, or give another") from error


def _lines(stream: BinaryIO, name: str) -> Iterator[str]:
    for number, raw in enumerate(stream, start=1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if b"\0" in line:
            raise DataError(f"{name}, line {number}: a NUL byte; is it a text file? Remove it, or save as UTF-8")
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            byte = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
            raise DataError(f"{name}, line {number}: not UTF-8 ({byte}); save the file as UTF-8") from None
