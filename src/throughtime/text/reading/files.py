"""Bytes to checked lines: every fault of encoding is reported with file and line."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from throughtime.spec.errors import DataError

MAX_TEXT: Final = 2**25
"""Longest single field in characters. Far above any text, far below memory: an unclosed quote must not eat a file."""
MAX_LINE: Final = 4 * MAX_TEXT
"""Longest line in bytes."""

_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")


def shown(value: object, limit: int = 60) -> str:
    """`value` as a user can recognise it in a message: one line, no control characters, shortened to `limit`."""
    text = str(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[: limit + 1])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown_path(path: Path) -> str:
    """`path` for messages: whole, but on one line and without what cannot be printed."""
    return shown(path, 10_000)


@contextmanager
def refusing(name: str) -> Iterator[None]:
    """Turns the operating system's errors about the file `name` into a DataError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{name}: cannot be read ({reason}); check that it exists and that you may read it") from None


def text_lines(file: BinaryIO, name: str) -> Iterator[str]:
    r"""Lines of `file` as text with their line ends, cut at `\n` alone; a byte order mark at the start is dropped.

    Raises:
        DataError: invalid UTF-8, a NUL byte, or a line longer than MAX_LINE; names the line.
    """
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise DataError(
                f"{name}, line {number}: longer than {MAX_LINE:,} bytes, more than one text can have; "
                "check that the file has one row a line and that its format fits its name"
            )
        if number == 1:
            line = line.removeprefix(_BOM)
        yield decoded(line, name, number)


def decoded(content: bytes, name: str, first_line: int = 1) -> str:
    """`content` as UTF-8 text. `first_line`: number of its first line in the file `name`.

    Raises:
        DataError: invalid UTF-8 or a NUL byte; names the line.
    """
    if first_line == 1 and content.startswith(_UTF16_BOMS):
        raise DataError(f"{name}, line 1: not UTF-8 but UTF-16; save the file as UTF-8 (iconv -f utf-16 -t utf-8)")
    nul = content.find(b"\0")
    if nul >= 0:
        line = first_line + content.count(b"\n", 0, nul)
        raise DataError(f"{name}, line {line}: a NUL byte; this is no text file, or remove the byte (tr -d '\\000')")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = first_line + content.count(b"\n", 0, error.start)
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise DataError(
            f"{name}, line {line}: invalid UTF-8 (byte 0x{content[error.start]:02X} at position {column}); "
            "save the file as UTF-8 (for Western text: iconv -f windows-1252 -t utf-8)"
        ) from None


def read_text(path: Path) -> str:
    """The whole of a small file, one text, less a byte order mark."""
    name = shown_path(path)
    with refusing(name), path.open("rb") as file:
        content = file.read(MAX_LINE + 1)
    if len(content) > MAX_LINE:
        raise DataError(f"{name}: longer than {MAX_LINE:,} bytes, more than one text can have; cut or remove it")
    return decoded(content.removeprefix(_BOM), name)


def digest(path: Path, name: str, facts: object) -> str:
    """SHA-256 (hex) over `facts` (by its repr) and the file's content, streamed."""
    with refusing(name), path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return combined(facts, content)


def combined(*parts: object) -> str:
    """SHA-256 (hex) over the reprs of `parts`."""
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


def require_file(path: Path, name: str) -> None:
    """Refuses, with the remedy, what is not a readable, non-empty, regular file (sources are read several times)."""
    if not path.exists():
        raise DataError(f"{name}: no such file or folder; check the path (relative to {shown_path(Path.cwd())})")
    if not path.is_file():
        raise DataError(f"{name}: not a regular file; save the data to a file first, for it is read more than once")
    with refusing(name), path.open("rb") as file:
        if not file.read(1):
            raise DataError(f"{name}: the file is empty; give a file with at least one row")
