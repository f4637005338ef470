"""What a tokenizer learns: which tokens, in which order, from what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.runtime.pipelines import TokenizerKind
from throughtime.spec.errors import DataError, OptionError
from throughtime.text import tokenizing
from throughtime.text.tokenizing import TokenizerOptions, train_tokenizer, vocabulary

TEXTS = ["b a a. b", "a c <br />b", "Don't! d"]


def tokens(texts: list[str], options: TokenizerOptions) -> list[str]:
    return vocabulary(train_tokenizer(texts, options).to_str())


def test_tokens_come_by_falling_count_then_by_spelling() -> None:
    assert tokens(TEXTS, TokenizerOptions(min_count=1)) == ["[PAD]", "[UNK]", "a", "b", "!", ".", "c", "d", "don't"]


def test_rare_tokens_and_those_beyond_the_size_are_left_out() -> None:
    assert tokens(TEXTS, TokenizerOptions(min_count=2)) == ["[PAD]", "[UNK]", "a", "b"]
    assert tokens(TEXTS, TokenizerOptions(min_count=1, vocabulary_size=3)) == ["[PAD]", "[UNK]", "a"]


def test_a_piece_too_long_to_be_a_word_is_no_token() -> None:
    assert tokens(["x" * 101, "y" * 100], TokenizerOptions(min_count=1))[2:] == ["y" * 100]


def test_case_is_kept_if_asked() -> None:
    assert "Don't" in tokens(TEXTS, TokenizerOptions(min_count=1, lowercase=False))


def test_a_text_that_spells_a_special_token_does_not_become_one() -> None:
    learnt = train_tokenizer(["[PAD] [UNK] pad"], TokenizerOptions(min_count=1))
    assert 0 not in learnt.encode("[PAD] pad").ids


def test_chinese_is_cut_by_character() -> None:
    assert tokens(["好吃好吃", "不好"], TokenizerOptions(min_count=1))[2:] == ["好", "吃", "不"]


def test_bpe_learns_pieces_of_words_and_is_deterministic() -> None:
    texts = ["lower lowest low lows slow"] * 20 + ["好吃的好吃 👍"] * 3
    options = TokenizerOptions(kind="bpe", vocabulary_size=40)
    learnt = train_tokenizer(iter(texts), options)
    assert learnt.to_str() == train_tokenizer(iter(texts), options).to_str()
    names = vocabulary(learnt.to_str())
    assert names[:2] == ["[PAD]", "[UNK]"]
    assert "▁low" in names
    assert len(names) <= 40


def test_bpe_with_more_characters_than_tokens_says_so() -> None:
    with pytest.raises(OptionError, match=r"vocabulary_size is 5, .* hold 27 different characters.* raise it"):
        train_tokenizer(["abcdefghijklmnopqrstuvwxyz"], TokenizerOptions(kind="bpe", vocabulary_size=5))


@pytest.mark.parametrize("kind", ["words", "characters", "bpe"])
def test_texts_without_a_token_are_refused(kind: TokenizerKind) -> None:
    with pytest.raises(DataError, match="hold no token"):
        train_tokenizer(["", " \n", "<br />"], TokenizerOptions(kind=kind))


def test_no_token_that_is_frequent_enough_is_refused() -> None:
    with pytest.raises(DataError, match=r"no token stands 9 times.*lower preprocessing.min_count"):
        train_tokenizer(TEXTS, TokenizerOptions(min_count=9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "syllables"}, "'syllables'"),
        ({"vocabulary_size": 2}, "vocabulary_size must be at least 3.* is 2"),
        ({"min_count": 0}, "min_count must be at least 1, but is 0"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TokenizerOptions(**options)  # type: ignore[arg-type]


def test_counting_forgets_the_rarest_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizing, "_DIFFERENT_AT_MOST", 10)
    texts = [f"often w{number}" for number in range(100)]
    learnt = tokens(texts, TokenizerOptions(min_count=1))
    assert learnt[2] == "often"
    assert len(learnt) <= 2 + 10


@given(st.lists(st.text(alphabet=st.characters()), min_size=1), st.sampled_from(["words", "characters", "bpe"]))
def test_any_text_is_learnt_from_or_refused(texts: list[str], kind: TokenizerKind) -> None:
    options = TokenizerOptions(kind=kind, vocabulary_size=5000, min_count=1)
    try:
        learnt = train_tokenizer(texts, options).to_str()
    except DataError:
        return
    names = vocabulary(learnt)
    assert names[:2] == ["[PAD]", "[UNK]"]
    assert sorted(json.loads(learnt)["model"]["vocab"].values()) == list(range(len(names)))
    assert learnt == train_tokenizer(texts, options).to_str()
