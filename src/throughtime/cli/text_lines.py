"""Plain text as input: one text a line."""

import select
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from throughtime.spec.errors import DataError

STDIN: Final = "-"

_READ: Final = 1 << 20
_BYTES: Final = 1 << 23
"""Of a portion, at most about so many."""
_PATIENCE: Final = 0.02
"""Seconds until a writer is taken to be waiting for an answer."""


class _Raw(Protocol):
    def fileno(self) -> int: ...
    def read(self, size: int, /) -> bytes | None: ...


def text_lines(source: str) -> Iterator[str]:
    """The lines of a UTF-8 file, or of standard input ("-"), without their ends; an empty line is an empty text.

    Raises:
        DataError: the file cannot be read, or a line is not UTF-8 or holds a NUL byte; names file and line.
    """
    return chain.from_iterable(arriving_lines(source, 1024))


def arriving_lines(source: str, most: int) -> Iterator[list[str]]:
    """The same in portions, of `most` lines; or fewer, where no further line comes soon: who writes may wait for us.

    Raises:
        DataError: as `text_lines`.
    """
    name = "standard input" if source == STDIN else source
    try:
        with nullcontext(_standard_input()) if source == STDIN else Path(source).open("rb") as stream:
            yield from _portions(stream, name, most)
    except FileNotFoundError:
        raise DataError(f"{source}: no such file; give a file of texts, one a line, or - for standard input") from None
    except OSError as error:
        raise DataError(f"{name} cannot be read ({error.strerror}): make it readable, or give another") from error


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise DataError("standard input is closed: give texts, or --input FILE")
    return sys.stdin.buffer


def _portions(stream: BinaryIO, name: str, most: int) -> Iterator[list[str]]:
    # Its `read` gives what is there, and does not wait for more. Nothing has been read through `stream` before.
    raw = cast(_Raw, getattr(stream, "raw", stream))
    portion: list[str] = []
    number = size = 0
    for lines in _arrivals(raw):
        for line in lines:
            number += 1
            try:
                portion.append(_decoded(line, name, number))
            except DataError:
                if portion:
                    yield portion
                raise
            size += len(line)
            if len(portion) == most or size >= _BYTES:
                yield portion
                portion, size = [], 0
        if portion and not _more_comes(raw):
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def _arrivals(raw: _Raw) -> Iterator[list[bytes]]:
    """Whole lines, those of one read after the other; the last one may lack its end."""
    begun: list[bytes] = []
    while (read := raw.read(_READ)) != b"":
        if read is None:  # of a stream that does not wait by itself
            select.select([raw], [], [])
            continue
        first, *others = read.split(b"\n")
        begun.append(first)
        if others:
            yield [b"".join(begun), *others[:-1]]
            begun = [others[-1]]
    if last := b"".join(begun):
        yield [last]


def _more_comes(raw: _Raw) -> bool:
    """Whether a read would soon give something, or the end."""
    try:
        return bool(select.select([raw], [], [], _PATIENCE)[0])
    except (OSError, ValueError):  # nothing to wait for, such as a file in memory
        return True


def _decoded(line: bytes, name: str, number: int) -> str:
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in line:
        raise DataError(f"{name}, line {number}: a NUL byte; is it a text file? Remove it, or save as UTF-8")
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{line[error.start]:02x} at position {error.start + 1}"
        raise DataError(f"{name}, line {number}: not UTF-8 ({byte}); save the file as UTF-8") from None
