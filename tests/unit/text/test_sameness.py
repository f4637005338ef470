"""Which texts are the same: those that a model cannot tell apart, and no others."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.runtime.pieces import Pieces
from throughtime.runtime.pipelines import pipeline
from throughtime.text.sameness import plain_form, stable_hash

TEXT = "A café, isn't it? <b>Yes</b>"


@pytest.mark.parametrize(
    "variant",
    [
        f" {TEXT}\r\n",
        TEXT.replace(" ", "\u00a0 \t"),
        unicodedata.normalize("NFD", TEXT),
        TEXT.replace("'", "’"),
        TEXT.replace(" ", "<br />", 1),
        TEXT.replace(" ", " <BR>", 1),
        TEXT.upper(),
    ],
)
def test_what_the_tokenizer_drops_makes_no_other_text(variant: str) -> None:
    assert plain_form(variant, lowercase=True) == plain_form(TEXT, lowercase=True) == TEXT.lower()


@pytest.mark.parametrize("other", [TEXT.replace(",", ""), TEXT.replace("é", "e"), TEXT.replace("<b>", ""), TEXT + "!"])
def test_what_it_keeps_does(other: str) -> None:
    assert plain_form(other, lowercase=True) != plain_form(TEXT, lowercase=True)


def test_case_counts_where_it_is_kept() -> None:
    assert plain_form(" A  b", lowercase=False) == "A b"


@given(st.text(), st.booleans())
def test_a_text_and_its_plain_form_have_the_same_pieces(text: str, lowercase: bool) -> None:
    pieces = Pieces(pipeline("words", lowercase))
    plain = plain_form(text, lowercase=lowercase)
    assert pieces(plain) == pieces(text)
    stable_hash(plain)


def test_a_pile_of_marks_takes_no_time_of_its_square() -> None:
    pile = "a" + "\u0301\u0323" * 60_000
    started = time.process_time()
    assert plain_form(f"{pile} ", lowercase=True) == pile
    assert time.process_time() - started < 2  # minutes, were it composed
    emoji = "\U0001f602" * 40
    assert plain_form(f"e\u0301{emoji}", lowercase=True) == f"é{emoji}"


def test_hashes_are_the_same_everywhere() -> None:
    assert stable_hash("text") == stable_hash("text") != stable_hash("text ")
    assert stable_hash("\ud800") != stable_hash("")
