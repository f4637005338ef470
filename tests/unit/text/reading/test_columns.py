"""Which columns are guessed, and when a guess is refused."""

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading.columns import Chosen, choose
from throughtime.text.reading.source import GUESSED, Columns


@pytest.mark.parametrize(
    ("present", "strings", "text", "label"),
    [
        (["text", "label"], ["text"], "text", "label"),
        (["label", "text"], ["text", "label"], "text", "label"),
        (["Review", "Sentiment"], ["Review", "Sentiment"], "Review", "Sentiment"),
        (["id", "review", "stars"], ["review"], "review", "stars"),
        (["text", "label", "label_name", "fine"], ["text", "label_name", "fine"], "text", "label"),
        (["text", "review", "label"], ["text", "review"], "text", "label"),
        (["quote", "y"], ["quote"], "quote", "y"),
        (["what", "label"], ["what", "label"], "what", "label"),
        (["text", "mood"], ["text", "mood"], "text", "mood"),
        (["id", "words", "class"], ["words"], "words", "class"),
    ],
)
def test_plain_names_are_guessed(present: list[str], strings: list[str], text: str, label: str) -> None:
    assert choose(GUESSED, present, strings, "f", labelled=True) == Chosen(text, label, None)


def test_named_columns_win_over_names_that_would_be_guessed() -> None:
    present = ["text", "body", "label", "score", "who"]
    chosen = choose(Columns(text="body", label="score", group="who"), present, present, "f", labelled=True)
    assert chosen == Chosen("body", "score", "who")


def test_a_column_named_for_one_role_is_not_guessed_for_another() -> None:
    present = ["text", "label", "topic"]
    assert choose(Columns(group="label"), present, present, "f", labelled=True) == Chosen("text", "topic", "label")
    assert choose(Columns(text="label", label="text"), present, present, "f", labelled=True).text == "label"


def test_without_labels_only_a_named_label_column_is_read() -> None:
    present = ["text", "label"]
    assert choose(GUESSED, present, present, "f", labelled=False) == Chosen("text", None, None)
    assert choose(Columns(label="label"), present, present, "f", labelled=False) == Chosen("text", "label", None)
    assert choose(GUESSED, ["anything"], ["anything"], "f", labelled=False) == Chosen("anything", None, None)


@pytest.mark.parametrize(
    ("present", "text"),
    [
        (["text", "score", "rating"], "text"),
        (["answer"], "answer"),
        (["quote", "Label"], "quote"),
        (["text", "topic", "class"], "text"),
    ],
)
def test_without_labels_no_column_is_taken_for_them(present: list[str], text: str) -> None:
    assert choose(GUESSED, present, present, "f", labelled=False) == Chosen(text, None, None)


def test_without_labels_a_column_that_could_be_texts_or_labels_is_asked_for() -> None:
    with pytest.raises(DataError, match=r"which column holds the texts; its columns are 'answer', 'id'.*--text-column"):
        choose(GUESSED, ["answer", "id"], ["answer", "id"], "f", labelled=False)


@pytest.mark.parametrize(
    ("wanted", "present", "parts"),
    [
        (Columns(text="txt"), ["text", "label"], ["f: no column 'txt'", "'text', 'label'", "--text-column"]),
        (Columns(label="lbl"), ["text", "label"], ["no column 'lbl'", "'text', 'label'", "--label-column"]),
        (Columns(group="movie"), ["text", "label"], ["no column 'movie'", "'text', 'label'", "--group-column"]),
        (GUESSED, ["a", "b", "label"], ["which column holds the texts", "'a', 'b', 'label'", "--text-column"]),
        (GUESSED, ["text", "a", "b"], ["which column holds the labels", "'text', 'a', 'b'", "--label-column"]),
        (GUESSED, ["text"], ["f: no column for the labels beside 'text'; add one"]),
        (Columns(group="m"), ["text", "m"], ["f: no column for the labels beside 'text', 'm'"]),
        (GUESSED, ["review", "comment", "label"], ["'review', 'comment'", "could each be the text", "--text-column"]),
        (GUESSED, ["text", "class", "topic"], ["'class', 'topic'", "could each be the label", "--label-column"]),
        (Columns(text="label", label="label"), ["text", "label"], ["'label' cannot be two of", "name one column each"]),
        (Columns(group="text", text="text"), ["text", "label"], ["'text' cannot be two of"]),
        (Columns(text="t"), ["t", "t", "label"], ["2 columns are called 't'", "rename one"]),
    ],
)
def test_what_is_not_plain_is_refused_with_the_columns_and_the_remedy(
    wanted: Columns, present: list[str], parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        choose(wanted, present, present, "f", labelled=True)
    for part in parts:
        assert part in str(caught.value)


def test_a_header_that_is_really_data_gives_a_short_line() -> None:
    present = ["long " * 1000, "with\nline end", *(f"c{i}" for i in range(50))]
    with pytest.raises(DataError) as caught:
        choose(GUESSED, present, present, "f", labelled=True)
    message = str(caught.value)
    assert len(message) < 600
    assert "\n" not in message
    assert "and 32 more" in message
    assert "the first line of a CSV or TSV file must name them" in message
