"""TextEncoder: tokens, cuts, texts that are no proper text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from throughtime.runtime.encoding import TextEncoder
from throughtime.runtime.pipelines import pipeline
from throughtime.spec.errors import OptionError
from throughtime.spec.model import Cut, PreprocessingConfig

VOCABULARY = ["[PAD]", "[UNK]", "a", "b", "c", "d", "e", "[", "]", "pad"]


def tokenizer_json() -> str:
    tokenizer = pipeline("words", lowercase=True)
    tokenizer.model = models.WordLevel({token: i for i, token in enumerate(VOCABULARY)}, unk_token="[UNK]")
    return str(tokenizer.to_str())


def encoder(max_tokens: int = 100, cut: Cut = "head") -> TextEncoder:
    return TextEncoder(tokenizer_json(), PreprocessingConfig(max_tokens, cut))


@pytest.mark.parametrize(
    ("cut", "kept"),
    [("head", "a b c"), ("tail", "c d e"), ("head+tail", "a d e")],
)
def test_a_long_text_is_cut_where_asked(cut: Cut, kept: str) -> None:
    it = encoder(3, cut)
    [ids] = it.encode(["a b c d e"])
    assert it.tokens(ids) == kept.split()
    assert ids.dtype == "int32"


@pytest.mark.parametrize("cut", ["head", "tail", "head+tail"])
@pytest.mark.parametrize("text", ["a", "a b c", "a b c d", "a b c d e"])
@pytest.mark.parametrize("keep", [1, 2, 5, 6])
def test_a_cut_keeps_max_tokens_and_no_short_text_is_touched(cut: Cut, text: str, keep: int) -> None:
    [ids] = encoder(keep, cut).encode([text])
    words = text.split()
    assert len(ids) == min(keep, len(words))
    if len(words) <= keep:
        assert encoder().tokens(ids) == words


def test_empty_and_whitespace_texts_have_no_tokens() -> None:
    assert [len(ids) for ids in encoder().encode(["", " \n\t", "a"])] == [0, 0, 1]
    assert encoder().encode([]) == []


def test_special_tokens_in_a_text_are_plain_characters() -> None:
    it = encoder()
    [ids] = it.encode(["a [PAD] b"])
    assert it.tokens(ids) == ["a", "[", "pad", "]", "b"]


def test_surrogates_become_characters() -> None:
    it = encoder()
    pair, lone, proper = it.encode(["\ud83d\ude00 a", "\ud83d a", "\U0001f600 a"])
    assert it.tokens(lone) == ["[UNK]", "a"]
    assert pair.tolist() == proper.tolist()


def test_many_texts_come_back_in_order() -> None:
    words = VOCABULARY[2:7]
    texts = [" ".join(words[i % 5] for i in range(n)) for n in range(400)] + ["a" * (1 << 21), "b"]
    it = encoder(1000)
    ids = it.encode(texts)
    assert [len(row) for row in ids] == [*range(400), 1, 1]
    assert it.tokens(ids[-1]) == ["b"]


@given(st.lists(st.text(alphabet=st.characters(codec=None, categories=None)), max_size=5))
def test_any_text_is_encoded_below_the_vocabulary_size_and_alone_as_in_a_batch(texts: list[str]) -> None:
    it = encoder(4, "head+tail")
    together = it.encode(texts)
    assert len(together) == len(texts)
    for text, ids in zip(texts, together, strict=True):
        assert len(ids) <= 4
        assert all(0 < token < it.vocabulary_size for token in ids)
        assert it.encode([text])[0].tolist() == ids.tolist()


def test_bad_preprocessing_is_refused() -> None:
    with pytest.raises(OptionError, match="max_tokens must be at least 1, but is 0"):
        encoder(0)
    with pytest.raises(OptionError, match="cut must be one of head, tail, head\\+tail, but is 'middle'"):
        encoder(3, "middle")  # type: ignore[arg-type]
