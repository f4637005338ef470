"""A text's pieces, quickly: what `runtime.pipelines` says, by Python's own regular expressions where both agree.

The tokenizers library keeps, for every character, where it came from; nobody here asks. For texts made of characters on
which both agree (nearly all there are), the pieces are found several times faster without it. Other texts go
to the library. A test compares the two for every single character.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from itertools import groupby, repeat
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from throughtime.runtime.pipelines import TokenizerKind, pipeline
from throughtime.runtime.well_formed import well_formed
from throughtime.spec.model import UNKNOWN_TOKEN

Quick: TypeAlias = Callable[[str], list[str] | None]
"""A text's pieces, or None where the library must be asked."""

# Han and kana: the scripts without spaces among the plain characters.
_UNSPACED: Final = "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u4e00-\u9fef"
# Latin, Greek, Cyrillic, punctuation, currency, arrows and mathematics, CJK, Hangul, full-width forms, emoji. Not among
# them, for both sides treat them in their own ways: combining marks, format characters, Σ (its lower case depends on
# its place) and İ (its lower case is two characters).
_PLAIN: Final = re.compile(
    "["
    "\t\n\r -~\u0080-\u00ac\u00ae-\u012f\u0131-\u024f\u0370-\u0377\u037a-\u037f\u0384-\u038a\u038c\u038e-\u03a1"
    "\u03a4-\u03ff\u0400-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u23ff\u2500-\u27bf"
    "\u3000-\u3020\u3030\u303d-\u303f\uac00-\ud7a3\uff01-\uff65\uffe0-\uffe6\U0001f300-\U0001f6c5\U0001f900-\U0001f9ff"
    + _UNSPACED
    + "]*"
)
_MOST_MARKS: Final = 30
"""Combining marks in a row; no language has so many: the limit of Unicode's stream-safe text format (UAX #15)."""
_RUN: Final = re.compile(rf"[^\x00-\u02ff\w\s]{{{_MOST_MARKS + 1},}}")  # marks are among these
BREAK: Final = re.compile(r"<[bB][rR][^\S\x1c-\x1f]*/?>")  # the library does not count \x1c to \x1f as white space
# Possessive (++), for speed: nothing here ever needs to be given back.
_ASCII_WORDS: Final = re.compile(r"[A-Za-z0-9]++(?:'[A-Za-z0-9]++)*+|\.++|[!?]++|[!-/:-@\[-`{-~]")
_SPACED: Final = rf"[^\W_{_UNSPACED}]++"
_WORDS: Final = re.compile(rf"{_SPACED}(?:'{_SPACED})*+|[{_UNSPACED}]|\.++|[!?！？]++|[^\w\s\x80-\x9f]|_")
_SPACES: Final = re.compile(r"\s+")
_VISIBLE: Final = re.compile(r"[^\x80-\x9f]")


class Pieces:
    """Cuts texts as `tokenizer` does, before its vocabulary is asked."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._normaliser = tokenizer.normalizer
        self._pre_tokenizer = tokenizer.pre_tokenizer
        self._quick = quick_pieces(tokenizer)

    def __call__(self, text: str) -> list[str]:
        """The pieces of `text` in their order; lone surrogates are read as U+FFFD."""
        if self._quick is not None and (pieces := self._quick(text)) is not None:
            return pieces
        return self.by_library(text)

    def by_library(self, text: str) -> list[str]:
        """The same, slowly."""
        normal = self._normaliser.normalize_str(well_formed(text))
        return [piece for piece, _ in self._pre_tokenizer.pre_tokenize_str(normal)]


def quick_pieces(tokenizer: Tokenizer) -> Quick | None:
    """A quick way to this tokenizer's pieces; None if its normaliser or pre-tokenizer is none that is known here."""
    kinds: dict[TokenizerKind, Callable[[str, bool], list[str] | None]] = {"words": _words, "characters": _characters}
    for kind, cut in kinds.items():
        for lowercase in (True, False):
            if _parts(tokenizer) == _parts(pipeline(kind, lowercase)):
                return lambda text, cut=cut, lowercase=lowercase: cut(text, lowercase)  # type: ignore[misc]
    return None


def quick_ids(tokenizer: Tokenizer, vocabulary: Mapping[str, int]) -> Callable[[str], NDArray[np.int32] | None] | None:
    """A quick way to the ids, (length,), of a tokenizer of `runtime.tokenizer_json`; None for byte-pair encoding.

    What it returns gives None for a text on which the library must be asked.
    """
    pieces = quick_pieces(tokenizer)
    if pieces is None:
        return None
    unknown = vocabulary[UNKNOWN_TOKEN]

    def encode(text: str) -> NDArray[np.int32] | None:
        found = pieces(text)
        return None if found is None else np.array(list(map(vocabulary.get, found, repeat(unknown))), dtype=np.int32)

    return encode


def _parts(tokenizer: Tokenizer) -> tuple[bytes, bytes] | None:
    """The normaliser and pre-tokenizer as JSON."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer)
    return None if None in parts else (parts[0].__getstate__(), parts[1].__getstate__())


def _words(text: str, lowercase: bool) -> list[str] | None:
    if text.isascii():
        text = BREAK.sub(" ", text)
        return _ASCII_WORDS.findall(text.lower() if lowercase else text)
    plain = _plain(text, lowercase)
    return None if plain is None else _WORDS.findall(plain)


def _characters(text: str, lowercase: bool) -> list[str] | None:
    plain = _plain(text, lowercase)
    return None if plain is None else _VISIBLE.findall(_SPACES.sub(" ", plain).strip(" "))


def _plain(text: str, lowercase: bool) -> str | None:
    """The text as the normalisers of `pipelines` leave it, but for white space; None where it is not plain."""
    text_nfc = composed(text)
    if text_nfc is None or not _PLAIN.fullmatch(text_nfc):
        return None
    text = BREAK.sub(" ", text_nfc).replace("‘", "'").replace("’", "'")
    return text.lower() if lowercase else text


def composed(text: str) -> str | None:
    """Unicode's NFC of the text; None where it would take Python for ever: it sorts combining marks that follow one
    another in time that grows with the square of their number. The library is quick with any."""
    for run in _RUN.finditer(text):
        for combining, characters in groupby(run.group(), lambda character: unicodedata.combining(character) > 0):
            if combining and sum(1 for _ in characters) > _MOST_MARKS:
                return None
    return unicodedata.normalize("NFC", text)
