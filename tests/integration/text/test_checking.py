"""What a check finds in data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.checking import CheckReport, Distribution, check
from throughtime.text.reading import Columns, RowBatch, Source, open_source

Make = Callable[..., Source]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make([(text, label), …], name) → a source of these rows."""

    def source(rows: list[tuple[str, ...]], name: str = "train", **columns: Any) -> Source:
        keys = ("text", "label", "by")
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(dict(zip(keys, row, strict=False))) + "\n" for row in rows))
        return open_source(str(path), Columns(**columns))

    return source


PLENTY = [(f"text number {i}", "ab"[i % 2]) for i in range(40)]


def test_plain_data_has_facts_and_no_findings(make: Make, tmp_path: Path) -> None:
    report = check(make([("one two three", "a"), *PLENTY[1:]]))
    assert report == CheckReport(
        name=str(tmp_path / "train.jsonl"),
        rows=40,
        label_kind="str",
        classes={"a": 20, "b": 20},
        empty_texts=0,
        duplicate_texts=0,
        conflicting_texts=0,
        characters=Distribution(13, 14.0, (13 * 10 + 14 * 30) / 40, 14.0, 14),
        words=Distribution(3, 3.0, 3.0, 3.0, 3),
        longest="line 11",
        groups=None,
        largest_group=None,
    )


def test_empty_texts_are_counted_and_not_taken_for_repeated_ones(make: Make) -> None:
    report = check(make([*PLENTY, ("", "a"), (" \n", "b"), ("", "b")]))
    assert (report.empty_texts, report.duplicate_texts, report.conflicting_texts) == (3, 0, 0)
    assert report.words.minimum == 0
    assert report.problems == []
    assert report.warnings == [
        "3 texts empty or white space (first: line 41); not trained on, and predicted as the share of each class"
    ]


def test_repeated_and_conflicting_texts_are_counted_and_the_first_is_named(make: Make) -> None:
    rows = [*PLENTY, ("same", "a"), ("same", "a"), ("two faced", "a"), ("same", "a"), ("two faced", "b")]
    report = check(make(rows))
    assert (report.duplicate_texts, report.conflicting_texts) == (3, 1)
    repeated, conflicting = report.warnings
    assert repeated.startswith("3 rows repeating the text of an earlier one (first: line 42, as line 41);")
    assert conflicting == "1 text with more than one label (first: line 45, as line 43); decide on one"


def test_texts_that_a_model_cannot_tell_apart_are_repeated_ones(make: Make) -> None:
    rows = [*PLENTY, ("Text  number 1", "b"), ("text<br />number 2\n", "b")]
    report = check(make(rows), make([("TEXT NUMBER 3", "a")], "test"))
    assert (report.duplicate_texts, report.conflicting_texts) == (2, 1)
    assert report.overlap is not None
    assert report.overlap.texts == 1


def test_the_first_repeated_row_is_the_first_in_the_data_whatever_the_texts_are(make: Make) -> None:
    report = check(make([*PLENTY, *reversed(PLENTY), *PLENTY]))
    assert report.duplicate_texts == 80
    assert "(first: line 41, as line 40)" in report.warnings[0]


def test_many_rows_of_one_word_are_one_text(make: Make) -> None:
    report = check(make([("word", "a")] * 3000 + [("word", "b")] * 3000))
    assert (report.rows, report.duplicate_texts, report.conflicting_texts) == (6000, 5999, 1)
    assert "(first: line 2, as line 1)" in report.warnings[0]
    assert "(first: line 3001, as line 3000)" in report.warnings[1]


def test_one_class_is_a_problem(make: Make) -> None:
    report = check(make([("x", "only"), ("y", "only")]))
    assert len(report.problems) == 1
    assert "one class only ('only'); give rows of at least two classes" in report.problems[0]


def test_nothing_but_empty_texts_is_a_problem(make: Make) -> None:
    report = check(make([("", "a"), (" ", "b")]))
    assert len(report.problems) == 1
    assert "every text is empty; check that --text-column names" in report.problems[0]


def test_small_classes_and_imbalance_are_warned_of(make: Make) -> None:
    report = check(make([*((f"text {i}", "many") for i in range(90)), *((f"other {i}", "few") for i in range(9))]))
    few, balance = report.warnings
    assert not report.refused
    assert few == "1 class with fewer than 10 rows ('few'); add rows or merge classes"
    assert balance.startswith("the largest class has 10 times the rows of the smallest; look at F1")
    assert list(report.classes or {}) == ["many", "few"]


def test_doubtful_classes_are_warned_of(make: Make) -> None:
    report = check(make([(f"text {i}", ("Good", "good", "NaN")[i % 3]) for i in range(36)]))
    alike, missing = report.warnings
    assert alike.startswith("classes 'Good', 'good' differ in case")
    assert missing.startswith("class 'NaN' (12 rows) is called as a missing value is written")


def test_texts_longer_than_the_default_recipe_reads_are_warned_of(make: Make) -> None:
    long = [("word " * 900, "a"), ("other " * 801, "b"), ("more " * 800, "b")]
    [warning] = [line for line in check(make([*PLENTY[:30], *long])).warnings if "words" in line]
    assert warning.startswith("2 texts of more than 800 words, of which the default recipe reads so many")
    assert not [line for line in check(make([*PLENTY, long[2]])).warnings if "words" in line]


def test_what_a_recipe_would_refuse_is_warned_of(make: Make) -> None:
    once = [(f"first{i} second{i}", "ab"[i % 2]) for i in range(40)]
    report = check(make(once))
    (words,) = report.warnings
    assert report.refused
    assert words.startswith(
        "no word stands twice, and the default recipe learns only words that do (preprocessing.min_count)"
    )
    assert check(make([*once[1:], ("First1 third", "a")])).warnings == []  # in another case, as recipes read it
    assert check(make([*once[1:], ("new, other, newer", "a")])).warnings == []  # the comma
    alike = [("good film", "a"), ("bad film", "b")] * 20
    _, held_out = check(make(alike)).warnings
    assert held_out.startswith("no class has two different texts, and equal ones stay together: none can be held out")
    assert len(check(make([*alike, ("fine film", "a")])).warnings) == 1
    assert len(check(make([*alike, ("", "a")])).warnings) == 2  # the empty one can be held out
    by_group = [(*row, f"group {number % 20}") for number, row in enumerate(alike)]
    assert len(check(make(by_group, group="by")).warnings) == 1
    # A test set is not trained on.
    report = check(make(PLENTY), make(once, "test"))
    assert not report.refused
    assert report.warnings == []
    assert report.test is not None
    assert report.test.warnings == []


def test_texts_left_by_a_wrong_decoding_are_warned_of(make: Make) -> None:
    report = check(make([*PLENTY, ("na\ufffdve", "a")]))
    assert report.warnings == [
        "1 text with U+FFFD, left by a wrong decoding (first: line 41); decode the original again"
    ]


def test_groups_are_counted_and_a_group_of_most_rows_is_warned_of(make: Make) -> None:
    rows = [(*row, "big" if i < 30 else f"g{i}") for i, row in enumerate(PLENTY)]
    report = check(make(rows, group="by"))
    assert (report.groups, report.largest_group) == (11, 30)
    assert report.warnings == [
        "one group holds 30 of 40 rows; a split by group cannot be even: "
        "check that --group-column names the right column"
    ]


def test_what_a_test_set_shares_is_found(make: Make) -> None:
    train = make([(*row, "m1") for row in PLENTY] + [("", "a", "m2")], group="by")
    test = make(
        [("new", "a", "m3"), ("text number 7", "b", "m1"), ("", "b", "m4"), ("text number 7", "c", "m1")],
        "test",
        group="by",
    )
    report = check(train, test)
    assert report.overlap is not None
    assert (report.overlap.texts, report.overlap.groups, report.overlap.unknown_labels) == (2, 1, ("c",))
    assert report.test is not None
    assert report.test.rows == 4
    assert len(report.problems) == 1
    assert "test.jsonl: 1 label that" in report.problems[0]
    assert "train.jsonl has not ('c'); correct them" in report.problems[0]
    texts, groups = report.warnings[-2:]
    assert texts.startswith("2 texts of")
    assert "(first: line 2); scores will be too good" in texts
    assert groups.startswith("1 group of")


def test_texts_without_labels_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("text\nx\nx\ny\n")
    report = check(open_source(str(path), labelled=False))
    assert report.classes is None
    assert (report.rows, report.duplicate_texts, report.conflicting_texts) == (3, 1, 0)
    assert report.problems == []


def test_what_would_stop_training_is_a_warning_of_a_test_set(make: Make) -> None:
    report = check(make(PLENTY), make([(" ", "a")], "test"))
    assert report.problems == []
    assert report.test is not None
    assert report.test.problems == []
    assert report.test.warnings[0].startswith("every text is empty")
    assert report.test.warnings[1].startswith("one class only ('a')")


def test_a_bad_row_ends_the_check_with_its_place(make: Make) -> None:
    with pytest.raises(DataError, match=r"line 41: no key 'label'"):
        check(make([*PLENTY, ("x",)]))


def test_progress_is_told_how_many_rows_were_read(make: Make) -> None:
    told: list[int] = []
    check(make(PLENTY), make(PLENTY[:5], "test"), told.append)
    assert sum(told) == 45


def test_a_source_that_shrinks_meanwhile_is_noticed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make([*PLENTY, PLENTY[0]])
    readings = 0
    read = source.rows

    def shrinking(batch_size: int = 1024) -> Any:
        nonlocal readings
        readings += 1
        return read(batch_size) if readings == 1 else iter([RowBatch(["x"], ["a"], None, 0)])

    monkeypatch.setattr(source, "rows", shrinking)
    with pytest.raises(DataError, match="changed while it was being read; run the check again"):
        check(source)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", " ", "a", "b b", "c\ud800", "好", "a\n"]), st.sampled_from("xyz")), min_size=1
    )
)
def test_counts_are_those_of_a_plain_count(rows: list[tuple[str, str]]) -> None:
    class Listed:
        name = "listed"
        label_kind: LabelKind = "str"

        def fingerprint(self) -> str:
            return ""

        def rows(self, batch_size: int = 1024) -> Any:
            for start in range(0, len(rows), 3):
                part = rows[start : start + 3]
                yield RowBatch([text for text, _ in part], [label for _, label in part], None, start)

    report = check(Listed(), Listed())
    full = [(text.strip(), label) for text, label in rows if text.strip()]
    texts = {text for text, _ in full}
    assert report.rows == len(rows)
    assert report.empty_texts == len(rows) - len(full)
    assert report.duplicate_texts == len(full) - len(texts)
    assert report.conflicting_texts == sum(len({b for a, b in full if a == text}) > 1 for text in texts)
    assert report.overlap is not None
    assert report.overlap.texts == len(full)
    assert report.classes == {label: sum(b == label for _, b in rows) for label in {b for _, b in rows}}
    assert report.characters.maximum == max(len(text) for text, _ in rows)


def test_the_shared_question_sets_overlap(shared_data: Path) -> None:
    trec = shared_data / "trec"
    report = check(open_source(str(trec / "train.parquet")), open_source(str(trec / "test.parquet")))
    assert (report.rows, len(report.classes or {})) == (5452, 6)
    assert report.overlap is not None
    assert report.overlap.texts == 11  # one of them in other capital letters
