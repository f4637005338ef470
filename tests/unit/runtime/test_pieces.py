"""The quick way to a text's pieces gives what the tokenizers library gives, for every character it takes."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.runtime.encoding import TextEncoder
from throughtime.runtime.pieces import Pieces, quick_ids, quick_pieces
from throughtime.runtime.pipelines import TokenizerKind, pipeline
from throughtime.spec.model import PreprocessingConfig

KINDS: list[TokenizerKind] = ["words", "characters"]
PIECES = {(kind, lowercase): Pieces(pipeline(kind, lowercase)) for kind in KINDS for lowercase in (True, False)}
ALL_CHARACTERS = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize("kind", KINDS)
def test_every_single_character_is_cut_as_by_the_library(kind: TokenizerKind) -> None:
    quick, pieces = quick_pieces(pipeline(kind, True)), PIECES[kind, True]
    assert quick is not None
    taken = [c for c in ALL_CHARACTERS if quick(f"é{c}") is not None]
    assert len(taken) > 36_000
    for start in range(0, len(taken), 64):
        text = "\n".join(f"a{c}b'{c} {c}{c}中<br{c}/>.{c}!" for c in taken[start : start + 64])
        assert quick(text) == pieces.by_library(text)


def test_every_ascii_character_alone_is_cut_as_by_the_library() -> None:
    tokenizer = pipeline("words", True)
    quick, pieces = quick_pieces(tokenizer), Pieces(tokenizer)
    assert quick is not None
    for code in range(128):
        text = f"A{chr(code)}b x'{chr(code)}' {chr(code)}{chr(code)}<BR{chr(code)}/>.{chr(code)}.!?{chr(code)}!"
        assert quick(text) == pieces.by_library(text)


@given(
    st.sampled_from(KINDS),
    st.booleans(),
    st.text() | st.text(alphabet="aB'’‘.!?！<br/> \t\x1c\x85\u00a0中の한é\u0301İΣ_▁👍\u200d\ufe0f\ud800"),
)
def test_any_text_is_cut_as_by_the_library(kind: TokenizerKind, lowercase: bool, text: str) -> None:
    pieces = PIECES[kind, lowercase]
    assert pieces(text) == pieces.by_library(text)


@pytest.mark.parametrize("character", ["Σ", "İ", "\u0600", "\u0301", "\u200d", "\u00ad", "ก", "ा", "\U0001f468\u200d"])
def test_what_differs_between_the_two_is_left_to_the_library(character: str) -> None:
    quick = quick_pieces(pipeline("words", True))
    assert quick is not None
    assert unicodedata.normalize("NFC", f"q{character}") == f"q{character}"
    assert quick(f"q{character}") is None


@pytest.mark.parametrize("kind", KINDS)
def test_marks_without_end_are_left_to_the_library(kind: TokenizerKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python sorts marks that are out of order in quadratic time: 24 s for these."""
    longest = 0
    normalize = unicodedata.normalize

    def measured(form: str, text: str) -> str:
        nonlocal longest
        longest = max(longest, len(text))
        return normalize(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", measured)
    text = "a good film, " + "a" + "\u0301\u0323" * 60_000 + " indeed"
    assert PIECES[kind, True](text) == PIECES[kind, True].by_library(text)
    assert longest == 0
    few = "a" + "\u0323\u0301" * 10 + " e\u0301 \u1112\u1161\u11ab" * 20
    assert PIECES[kind, True](few) == PIECES[kind, True].by_library(few)
    assert longest == len(few)


def test_byte_pairs_are_left_to_the_library() -> None:
    tokenizer = pipeline("bpe", True)
    assert quick_pieces(tokenizer) is None
    assert quick_ids(tokenizer, tokenizer.get_vocab()) is None


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("It’s GREAT!!! I don't...<br /><BR>know", ["it's", "great", "!!!", "i", "don't", "...", "know"]),
        ("abc中文テスト한국어 ไทย", ["abc", "中", "文", "テ", "ス", "ト", "한국어", "ไ", "ท", "ย"]),
        ("5/10 rock 'n' roll_", ["5", "/", "10", "rock", "'", "n", "'", "roll", "_"]),
        ("❤️great", ["❤️", "great"]),
        ("e\u0301 é", ["é", "é"]),
        ("[PAD] a\x00b", ["[", "pad", "]", "a", "b"]),
        (" \n\t<br/> \u200b", []),
    ],
)
def test_words(text: str, pieces: list[str]) -> None:
    assert Pieces(pipeline("words", True))(text) == pieces


def test_characters_keep_one_space_and_their_marks() -> None:
    assert Pieces(pipeline("characters", False))("  A <br/>é\u0323กี่") == ["A", " ", "ẹ\u0301", "กี่"]


def test_bpe_pieces_are_bounded_and_lose_nothing() -> None:
    pieces = Pieces(pipeline("bpe", False))("好" * 1000 + "x" * 1000 + "." * 1000 + "'a" * 1000)
    assert max(map(len, pieces)) <= 4 * 65
    assert "".join(pieces) == "▁" + "好" * 1000 + "x" * 1000 + "." * 1000 + "'a" * 1000


def test_bpe_pieces_are_words_with_their_space() -> None:
    assert Pieces(pipeline("bpe", True))("It's  (OK)今天") == ["▁it's", "▁(", "ok", ")", "今天"]


def test_encoder_gives_the_same_ids_either_way() -> None:
    tokenizer = pipeline("words", True)
    texts = ["", "plain [UNK] text", "กา plain", "\ud800", "a " * 9]
    encoder = TextEncoder(tokenizer.to_str(), PreprocessingConfig(max_tokens=4, cut="head+tail"))
    encoded = [ids.tolist() for ids in encoder.encode(texts)]
    assert [len(ids) for ids in encoded] == [0, 4, 3, 1, 4]
    assert {token for ids in encoded for token in ids} == {1}
