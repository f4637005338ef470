"""Synthetic labelled reviews with the lengths of IMDB's, so that benchmarks need no data set."""

import csv
from pathlib import Path
from typing import Final

import numpy as np

# Tokens of the 25,000 labelled training reviews of aclImdb, by the tokenizer of recipe `default`, before the cut.
_SHARES: Final = (
    *(0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9),
    *(0.95, 0.98, 0.99, 0.995, 0.999, 1.0),
)
_TOKENS: Final = (
    *(11, 49, 74, 104, 137, 154, 174, 200, 237, 290, 372, 433, 525),
    *(688, 906, 1041, 1124, 1245, 2739),
)

_WORDS: Final = 60_000
_COMMON: Final = (".", ",")
_ONSETS: Final = "bcdfghklmnprstvwz"
_VOWELS: Final = "aeiou"


def lengths(count: int, rng: np.random.Generator) -> np.ndarray:
    """Tokens of each of `count` reviews, (count,), drawn from IMDB's distribution."""
    return np.rint(np.interp(rng.random(count), _SHARES, _TOKENS)).astype(np.int64)


def reviews(count: int, *, seed: int = 0) -> tuple[list[str], list[str]]:
    """Texts and labels ("neg", "pos", by turns). Words follow Zipf's law and are longer where rarer; the two most
    frequent are punctuation marks. Labels mean nothing: speed is measured, not learning.
    """
    rng = np.random.default_rng(seed)
    words = np.array([*_COMMON, *(_word(rank) for rank in range(_WORDS - len(_COMMON)))])
    weights = 1.0 / (np.arange(_WORDS) + 2.7)
    cumulative = np.cumsum(weights / weights.sum())
    texts = []
    for length in lengths(count, rng):
        ranks = np.minimum(np.searchsorted(cumulative, rng.random(length)), _WORDS - 1)
        texts.append(" ".join(words[ranks]))
    return texts, [("neg", "pos")[row % 2] for row in range(count)]


def write_csv(path: Path, texts: list[str], labels: list[str]) -> None:
    """A file that `throughtime train` reads."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, labels, strict=True))


def _word(rank: int) -> str:
    """A made-up word of its own for every rank: one syllable for the first 85, two for the next 7,225, then three."""
    syllables = len(_ONSETS) * len(_VOWELS)
    parts = []
    number = rank + 1
    while number:  # counting without a zero: no two ranks have the same syllables
        number, digit = divmod(number - 1, syllables)
        parts.append(_ONSETS[digit // len(_VOWELS)] + _VOWELS[digit % len(_VOWELS)])
    return "".join(parts)
