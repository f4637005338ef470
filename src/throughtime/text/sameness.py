"""When two texts are the same: where no model can tell them apart, so that the label of one gives away the other's."""

import hashlib
import re
import unicodedata
from itertools import groupby
from typing import Final

from throughtime.runtime.pieces import BREAK

_MARKS: Final = 30
"""Combining characters in a row from which on Unicode's NFC is left out: its time grows with their square. No language
has so many; the limit is that of Unicode's stream-safe text format (UAX #15)."""
# Combining characters are among these; few texts have a run of them to be looked at one by one.
_RUN: Final = re.compile(rf"[^\x00-\u02ff\w\s]{{{_MARKS + 1},}}")


def plain_form(text: str, *, lowercase: bool) -> str:
    """`text` as the tokenizer takes it: NFC, line breaks of HTML as spaces, typographic apostrophes as ', lower case if
    asked, white space as one space, none at the ends."""
    if not text.isascii():
        text = _composed(text).replace("‘", "'").replace("’", "'")
    if "<" in text:
        text = BREAK.sub(" ", text)
    if lowercase:
        text = text.lower()
    return " ".join(text.split())


def stable_hash(text: str) -> int:
    """64 bits of BLAKE2b, signed: the same on every machine and in every process.

    Among 10 million texts, two that differ collide with a chance of 3 in a million.
    """
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _composed(text: str) -> str:
    for run in _RUN.finditer(text):
        for combining, characters in groupby(run.group(), lambda character: unicodedata.combining(character) > 0):
            if combining and sum(1 for _ in characters) > _MARKS:
                return text
    return unicodedata.normalize("NFC", text)
