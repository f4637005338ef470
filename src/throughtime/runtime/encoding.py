"""Text to token ids: one code for the corpus of a training run and for a prediction, so that they cannot differ."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.pieces import quick_ids
from throughtime.runtime.tokenizer_json import read_tokenizer
from throughtime.runtime.well_formed import well_formed
from throughtime.spec.errors import OptionError
from throughtime.spec.model import Cut, PreprocessingConfig

TokenIds: TypeAlias = NDArray[np.int32]

_LIBRARY_CHARACTERS: Final = 1 << 20
"""Texts handed to the library in one call: enough for all cores, small beside everything else in memory."""


class TextEncoder:
    """A tokenizer and the cut: texts → token ids.

    A text is data, never markup: "[PAD]" or "[UNK]" in it is tokenised like any other characters.

    Args:
        tokenizer_json: content of tokenizer.json, as `text.tokenizing` makes it.
        preprocessing: how many tokens of a long text are kept, and which.
    Raises:
        ModelError: it is none that this package writes (see `runtime.tokenizer_json`).
        OptionError: max_tokens below 1, or a cut that does not exist.
    """

    def __init__(self, tokenizer_json: str, preprocessing: PreprocessingConfig) -> None:
        if preprocessing.max_tokens < 1:
            raise OptionError(f"max_tokens must be at least 1, but is {preprocessing.max_tokens}")
        if preprocessing.cut not in get_args(Cut):
            raise OptionError(f"cut must be one of {', '.join(get_args(Cut))}, but is {preprocessing.cut!r}")
        self._tokenizer, vocabulary = read_tokenizer(tokenizer_json)
        self._quick = quick_ids(self._tokenizer, vocabulary)
        self._preprocessing = preprocessing

    @property
    def vocabulary_size(self) -> int:
        """Number of tokens, the special ones included: every id is below it."""
        return int(self._tokenizer.get_vocab_size())

    def tokens(self, ids: Sequence[int] | TokenIds) -> list[str]:
        """The tokens of these ids, as the vocabulary spells them."""
        return [str(self._tokenizer.id_to_token(int(token))) for token in ids]

    def encode(self, texts: Sequence[str]) -> list[TokenIds]:
        """Token ids of each text, (at most max_tokens,) int32; length 0 where a text has no token.

        Lone surrogates, which are no characters and which no tokenizer takes, are read as U+FFFD.
        """
        if self._quick is None:
            return self._by_library(texts)
        quick = [None if ids is None else self._cut(ids) for ids in map(self._quick, texts)]
        slow = iter(self._by_library([text for text, ids in zip(texts, quick, strict=True) if ids is None]))
        return [next(slow) if ids is None else ids for ids in quick]

    def _by_library(self, texts: Sequence[str]) -> list[TokenIds]:
        encoded: list[TokenIds] = []
        for together in _calls(texts):
            encodings = self._tokenizer.encode_batch_fast(together, add_special_tokens=False)
            encoded.extend(self._cut(np.array(encoding.ids, dtype=np.int32)) for encoding in encodings)
        return encoded

    def _cut(self, ids: TokenIds) -> TokenIds:
        keep, cut = self._preprocessing.max_tokens, self._preprocessing.cut
        if len(ids) <= keep:
            return ids
        if cut == "head":
            return ids[:keep].copy()
        if cut == "tail":
            return ids[-keep:].copy()
        head = keep // 2
        return np.concatenate([ids[:head], ids[head - keep :]])


def _calls(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts of each call of the library."""
    together: list[str] = []
    characters = 0
    for text in texts:
        together.append(well_formed(text))
        characters += len(text)
        if characters >= _LIBRARY_CHARACTERS:
            yield together
            together, characters = [], 0
    if together:
        yield together
