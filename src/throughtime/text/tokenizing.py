"""Learning a tokenizer from training texts: which pieces become tokens. `runtime.pipelines` says what a piece is."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from tokenizers import Tokenizer, models, trainers

from throughtime.runtime.pieces import Pieces
from throughtime.runtime.pipelines import TokenizerKind, pipeline
from throughtime.runtime.well_formed import well_formed
from throughtime.spec.errors import DataError, OptionError
from throughtime.spec.model import PAD_ID, PAD_TOKEN, UNKNOWN_ID, UNKNOWN_TOKEN

_DIFFERENT_AT_MOST: Final = 2_000_000
"""Different pieces counted at a time (about 400 MB); beyond it the rarest are forgotten."""
_LONGEST_TOKEN: Final = 100
"""Characters. What is longer is no word (an encoded picture, a text without its spaces)."""
_LONGEST_BPE_TOKEN: Final = 24
"""Characters; without a bound, a phrase pasted many times becomes one token."""


@dataclass(frozen=True)
class TokenizerOptions:
    """What fixes a tokenizer, beside the texts.

    kind: see `runtime.pipelines`. vocabulary_size: tokens at most, [PAD] and [UNK] included. min_count: how often a
    piece (bpe: a pair) must stand in the training texts. lowercase: whether case is dropped.

    Raises:
        OptionError: vocabulary_size below 3, min_count below 1, or a kind that does not exist.
    """

    kind: TokenizerKind = "words"
    vocabulary_size: int = 30_000
    min_count: int = 2
    lowercase: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("words", "characters", "bpe"):
            raise OptionError(f"tokenizer must be one of words, characters, bpe, but is {self.kind!r}")
        if self.vocabulary_size < 3:
            raise OptionError(
                f"vocabulary_size must be at least 3 ([PAD], [UNK] and a token), but is {self.vocabulary_size}"
            )
        if self.min_count < 1:
            raise OptionError(f"min_count must be at least 1, but is {self.min_count}")


def train_tokenizer(texts: Iterable[str], options: TokenizerOptions) -> Tokenizer:
    """The tokenizer of these texts: [PAD] is 0, [UNK] is 1, then by falling count, equal counts by spelling.

    Deterministic: the same texts in the same order give the same tokenizer.json, byte for byte. Texts are taken one by
    one and not kept.

    Raises:
        DataError: nothing in the texts can become a token.
        OptionError: bpe with a vocabulary_size smaller than the number of different characters.
    """
    if options.kind == "bpe":
        return _train_bpe(texts, options)
    tokenizer = pipeline(options.kind, options.lowercase)
    counts = _count(Pieces(tokenizer), texts)
    frequent = [(piece, n) for piece, n in counts.items() if n >= options.min_count and len(piece) <= _LONGEST_TOKEN]
    frequent.sort(key=lambda entry: (-entry[1], entry[0]))
    if not frequent:
        raise _nothing_to_learn(options, found=bool(counts))
    tokens = {PAD_TOKEN: PAD_ID, UNKNOWN_TOKEN: UNKNOWN_ID}
    for piece, _ in frequent[: options.vocabulary_size - len(tokens)]:
        tokens[piece] = len(tokens)
    tokenizer.model = models.WordLevel(tokens, unk_token=UNKNOWN_TOKEN)
    return tokenizer


def vocabulary(tokenizer_json: str) -> list[str]:
    """The tokens of a tokenizer.json, in the order of their ids."""
    tokens = cast(dict[str, int], json.loads(tokenizer_json)["model"]["vocab"])
    return sorted(tokens, key=tokens.__getitem__)


def _count(pieces: Pieces, texts: Iterable[str]) -> Counter[str]:
    """How often each piece stands in the texts; exact until more than _DIFFERENT_AT_MOST different ones were seen."""
    counts: Counter[str] = Counter()
    rare = 0
    for text in texts:
        counts.update(pieces(text))
        while len(counts) > _DIFFERENT_AT_MOST:
            # Forgetting in passes over ever larger counts bounds memory; a frequent piece loses next to nothing.
            rare += 1
            counts = Counter({piece: count for piece, count in counts.items() if count > rare})
    return counts


def _train_bpe(texts: Iterable[str], options: TokenizerOptions) -> Tokenizer:
    tokenizer = pipeline(options.kind, options.lowercase)
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary_size,
        min_frequency=options.min_count,
        special_tokens=[PAD_TOKEN, UNKNOWN_TOKEN],
        max_token_length=_LONGEST_BPE_TOKEN,
        show_progress=False,
    )
    tokenizer.train_from_iterator(map(well_formed, texts), trainer)
    size = tokenizer.get_vocab_size()
    if size > options.vocabulary_size:
        raise OptionError(
            f"vocabulary_size is {options.vocabulary_size}, but the training texts hold {size - 2} different "
            f"characters, and bpe needs a token for each: raise it above {size}"
        )
    if size <= 2:
        raise _nothing_to_learn(options, found=False)
    return tokenizer


def _nothing_to_learn(options: TokenizerOptions, *, found: bool) -> DataError:
    if found:
        return DataError(
            f"no token stands {options.min_count} times in the training texts: lower preprocessing.min_count, or give "
            "more texts"
        )
    return DataError("the training texts hold no token (white space and control characters only): give other texts")
