"""How a text is cut into pieces, for each kind of tokenizer: the normaliser and pre-tokenizer of `tokenizer.json`.

words: Unicode NFC, HTML line breaks to spaces, typographic apostrophes to ', lower case; then a piece is
    - a run of letters, marks and digits, contractions whole (don't), joined across zero-width (non-)joiners;
    - one character with its marks in scripts that write no spaces (Han, kana, Thai, Lao, Khmer, Myanmar, Tibetan).
      Korean has spaces, so its words stay whole;
    - a run of dots, or of exclamation and question marks (..., !!!, ?!);
    - any other visible character with its marks (punctuation, symbols, emoji).
characters: the same normaliser, white space to one space; then every character with its marks is a piece.
bpe: the same normaliser; then words with their leading space (▁) and punctuation apart, which byte-pair encoding
    divides further. Scripts without spaces are not divided beforehand: the merges learn their words.
"""

from typing import Final, Literal, TypeAlias

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from throughtime.spec.errors import OptionError
from throughtime.spec.model import PAD_ID, PAD_TOKEN, UNKNOWN_ID, UNKNOWN_TOKEN

TokenizerKind: TypeAlias = Literal["words", "characters", "bpe"]

_UNSPACED: Final = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ーｰ"
_RUNS: Final = r"\.{2,}|[!?！？]{2,}"
_OTHER: Final = r"[^\s\p{L}\p{M}\p{N}\p{Cc}\p{Cf}]\p{M}*"
_JOINERS: Final = r"['\x{200C}\x{200D}]"

_SPACED: Final = rf"[\p{{L}}\p{{N}}&&[^{_UNSPACED}]][\p{{L}}\p{{M}}\p{{N}}&&[^{_UNSPACED}]]*"
WORDS_PATTERN: Final = rf"{_SPACED}(?:{_JOINERS}{_SPACED})*|[{_UNSPACED}]\p{{M}}*|{_RUNS}|{_OTHER}"
CHARACTERS_PATTERN: Final = r"[^\p{Cc}\p{Cf}\p{M}]\p{M}*"

# The time of byte-pair encoding grows with the square of a piece's length: a page of Chinese must not be one piece.
_WORD: Final = r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]{0,63}"
_BOUNDED: Final = r"\.{2,64}|[!?！？]{2,64}|(?!▁)[^\s\p{L}\p{M}\p{N}\p{Cc}\p{Cf}]\p{M}{0,63}"
BPE_PATTERN: Final = rf"▁?(?:{_WORD}(?:{_JOINERS}{_WORD}){{0,3}}|{_BOUNDED})"


def pipeline(kind: TokenizerKind, lowercase: bool) -> Tokenizer:
    """A tokenizer with nothing learnt yet: it knows [PAD] and [UNK] only.

    Raises:
        OptionError: a kind that does not exist.
    """
    vocabulary = {PAD_TOKEN: PAD_ID, UNKNOWN_TOKEN: UNKNOWN_ID}
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNKNOWN_TOKEN))
    else:
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN_TOKEN))
    tokenizer.normalizer = normalizers.Sequence(_normalisers(kind, lowercase))
    if kind == "words":
        tokenizer.pre_tokenizer = _pieces(WORDS_PATTERN)
    elif kind == "characters":
        tokenizer.pre_tokenizer = _pieces(CHARACTERS_PATTERN)
    elif kind == "bpe":
        spaces = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([spaces, _pieces(BPE_PATTERN)])
    else:
        raise OptionError(f"tokenizer must be one of words, characters, bpe, but is {kind!r}")
    return tokenizer


def _normalisers(kind: TokenizerKind, lowercase: bool) -> list[normalizers.Normalizer]:
    steps: list[normalizers.Normalizer] = [
        normalizers.NFC(),
        normalizers.Replace(Regex(r"<[bB][rR]\s*/?>"), " "),
        normalizers.Replace(Regex(r"[‘’]"), "'"),
    ]
    if lowercase:
        steps.append(normalizers.Lowercase())
    if kind != "words":
        steps += [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    return steps


def _pieces(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Keeps what matches, drops the rest."""
    return pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
