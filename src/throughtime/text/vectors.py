"""Pre-trained word vectors in text format: GloVe's (word, numbers) and word2vec's (the same under a header line)."""

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.errors import DataError
from throughtime.spec.model import PAD_ID, UNKNOWN_ID

_SPECIAL: Final = 1 + max(PAD_ID, UNKNOWN_ID)
"""Tokens before the vocabulary's own."""


@dataclass(frozen=True)
class Vectors:
    """Vectors of a vocabulary's tokens.

    matrix: (vocabulary, size) float32, zero where the file has none. found: (vocabulary,), where it has one.
    vocabulary_share: part of the tokens that has a vector, [PAD] and [UNK] apart. token_share: part of the running
    tokens of the training texts, unknown ones counted as without; None where no counts were given.
    """

    matrix: NDArray[np.float32]
    found: NDArray[np.bool_]
    vocabulary_share: float
    token_share: float | None


def load_vectors(
    path: Path,
    vocabulary: Sequence[str] | Mapping[str, int],
    expected_size: int | None = None,
    counts: NDArray[np.int64] | None = None,
) -> Vectors:
    """Reads the vectors of a vocabulary's tokens, line by line; a file larger than memory is no harm.

    Where a word stands twice, the first counts. A word may hold spaces (some of GloVe's do).

    Args:
        path: text file, compressed if it ends in .gz.
        vocabulary: tokens in the order of their ids, or token → id.
        expected_size: numbers a vector must have; None takes what the file has.
        counts: (vocabulary,), how often each token stands in the training texts.
    Raises:
        DataError: the file is missing, empty, cut off or damaged; a vector of another width (names the line and both
            widths) or with something that is no finite number; or not one token has a vector.
    """
    tokens = vocabulary if isinstance(vocabulary, Mapping) else {token: place for place, token in enumerate(vocabulary)}
    places = {token.encode("utf-8", "surrogatepass"): place for token, place in tokens.items() if place >= _SPECIAL}
    lines = _lines(path)
    size, promised, first = _width(path, lines, expected_size)
    matrix = np.zeros((len(tokens), size), dtype=np.float32)
    found = np.zeros(len(tokens), dtype=np.bool_)
    vectors = 0
    for number, line in _chained(first, lines):
        vectors += 1
        word, numbers = _divided(path, number, line, size)
        place = places.get(word)
        if place is not None and not found[place]:
            matrix[place] = _parsed(path, number, numbers)
            found[place] = True
    if promised is not None and promised != vectors:
        raise DataError(
            f"{path}: its first line promises {promised} vectors, but {vectors} follow; get the whole file again"
        )
    if not found.any():
        raise DataError(
            f"{path}: holds no vector for any of the {len(places)} tokens; give vectors of the texts' language"
        )
    return Vectors(
        matrix=matrix,
        found=found,
        vocabulary_share=float(found.sum() / len(places)),
        token_share=None if counts is None else float(counts[found].sum() / max(1, counts.sum())),
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                if line := line.strip(b" \t\r\n"):
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged or cut off ({error}); get the file again") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give a file of word vectors in text format"
        ) from error


def _width(
    path: Path, lines: Iterator[tuple[int, bytes]], expected: int | None
) -> tuple[int, int | None, tuple[int, bytes] | None]:
    """Numbers a vector, vectors that a header promises (None without header), and the first line if it is a vector."""
    number, line = next(lines, (0, b""))
    if not line:
        raise DataError(f"{path}: the file is empty; give a file of word vectors in text format")
    fields = line.split()
    promised = None
    first: tuple[int, bytes] | None = (number, line)
    size = len(fields) - 1
    if len(fields) == 2 and all(field.isdigit() for field in fields) and expected != 1:
        promised, size = int(fields[0]), int(fields[1])
        first = None
    if size < 1:
        raise DataError(
            f"{path}, line {number}: no numbers after the word; give word vectors in text format, not binary"
        )
    if expected is not None and size != expected:
        raise DataError(
            f"{path}, line {number}: its vectors have {size} numbers, but embedding_size is {expected}; "
            f"set encoder.embedding_size to {size}, or give other vectors"
        )
    return size, promised, first


def _chained(first: tuple[int, bytes] | None, lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    if first is not None:
        yield first
    yield from lines


def _divided(path: Path, number: int, line: bytes, size: int) -> tuple[bytes, list[bytes]]:
    """The word and its numbers as they are written."""
    fields = line.rsplit(None, size)
    word = fields[0]
    spaced = word.split()
    # What is left of the numbers is the word; it may hold spaces, but then its last part is not one more number.
    if len(fields) <= size or (len(spaced) > 1 and _is_number(spaced[-1])):
        width = len(fields) - 1 if len(fields) <= size else size + sum(map(_is_number, spaced[1:]))
        raise DataError(
            f"{path}, line {number}: {width} numbers, but the vectors before have {size}; correct or remove the line"
        )
    return word, fields[1:]


def _parsed(path: Path, number: int, numbers: Sequence[bytes]) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # what overflows is infinite then, and refused below
            values = np.array([float(field) for field in numbers]).astype(np.float32)
    except ValueError as error:
        raise DataError(
            f"{path}, line {number}: not a number ({error}); correct or remove the line, or give vectors in text format"
        ) from error
    if not np.isfinite(values).all():
        raise DataError(f"{path}, line {number}: a number is not finite in float32; correct or remove the line")
    return values


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
