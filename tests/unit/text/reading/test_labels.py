"""Labels as strings, their kinds, and what is no class."""

import datetime

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading.labels import doubtful_classes, kind_of_strings, label_text, require_classes


@pytest.mark.parametrize(
    ("value", "text", "kind"),
    [
        ("pos", "pos", "str"),
        ("  pos\n", "pos", "str"),
        ("7", "7", "str"),
        (7, "7", "int"),
        (-1, "-1", "int"),
        (True, "True", "bool"),
        (False, "False", "bool"),
        (2.0, "2.0", "float"),
    ],
)
def test_plain_values_become_strings_and_keep_their_kind(value: object, text: str, kind: str) -> None:
    assert label_text(value, "f, row 1", "label") == (text, kind)


@pytest.mark.parametrize("value", [None, "", " \t", float("nan")])
def test_a_missing_label_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"f, row 3: no label in column 'y'.*label this row or remove it"):
        label_text(value, "f, row 3", "y")


@pytest.mark.parametrize("value", [0.5, float("inf")])
def test_a_fraction_is_taken_for_a_regression_target(value: float) -> None:
    with pytest.raises(DataError, match=r"f, row 3: label .* regression target or the wrong column.*--label-column"):
        label_text(value, "f, row 3", "y")


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"x", datetime.date(2020, 1, 1)])
def test_what_is_no_plain_value_is_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"f, row 3: the label in column 'y' is a .*--label-column"):
        label_text(value, "f, row 3", "y")


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        ({"0", "1"}, "int"),
        ({"-1", "1", "10"}, "int"),
        ({"01", "1"}, "str"),
        ({"-0", "1"}, "str"),
        ({"1", "b"}, "str"),
        ({"True", "False"}, "bool"),
        ({"true", "false"}, "str"),
        ({"1.0", "0.0"}, "float"),
        ({"1.0", "1"}, "str"),
        ({"1.00", "2.00"}, "str"),
        ({"v1.5", "v2"}, "str"),
        ({"①", "②"}, "str"),
        ({"١", "٢"}, "str"),
        ({"1_0", "2"}, "str"),
    ],
)
def test_strings_that_all_read_as_one_kind_have_it(labels: set[str], kind: str) -> None:
    assert kind_of_strings(labels, "f") == kind


@pytest.mark.parametrize("labels", [{"0.5", "1"}, {"3.7", "4.0", "-1e-3"}])
def test_strings_that_are_fractions_are_taken_for_a_regression_target(labels: set[str]) -> None:
    with pytest.raises(DataError, match=r"^f: the labels are numbers with fractions .*regression target"):
        kind_of_strings(labels, "f")


@pytest.mark.parametrize(
    ("classes", "rows", "complete", "refused"),
    [
        (1000, 10_000, True, False),
        (1001, 1_000_000, False, True),
        (101, 150, True, True),
        (101, 150, False, False),
        (101, 202, True, False),
        (100, 100, True, False),
        (3, 3, True, False),
    ],
)
def test_too_many_different_labels_are_no_classes(classes: int, rows: int, complete: bool, refused: bool) -> None:
    distinct = [f"c{i:04}" for i in range(classes)]
    if not refused:
        require_classes(distinct, rows, "f", complete=complete)
        return
    with pytest.raises(DataError, match=rf"{classes:,} different labels in {rows:,} rows \(one is 'c0000'\).*column"):
        require_classes(distinct, rows, "f", complete=complete)


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (("Good", "bad", "good"), "'Good', 'good'"),
        (("a  b", "A b", "c"), "'A b', 'a  b'"),
        (("caf\u00e9", "cafe\u0301", "bar"), "'cafe\u0301', 'caf\u00e9'"),
    ],
)
def test_classes_that_differ_in_spelling_alone_are_named(labels: tuple[str, ...], named: str) -> None:
    (doubt,) = doubtful_classes(dict.fromkeys(labels, 3))
    assert doubt.startswith(f"classes {named} differ in case, white space or composition alone; write them alike")


@pytest.mark.parametrize("label", ["NaN", "n/a", "NULL", "None"])
def test_classes_that_are_called_like_missing_values_are_named(label: str) -> None:
    (doubt,) = doubtful_classes({"good": 5, label: 1})
    assert doubt == (
        f"class '{label}' (1 row) is called as a missing value is written; if it is one, label its rows or remove them"
    )


def test_plain_classes_are_not_doubted() -> None:
    assert not list(doubtful_classes({"good": 5, "bad": 4, "nanny": 1, "0": 2, "1": 3, "+": 2, "-": 3, "none": 1}))
    assert not list(doubtful_classes({"2": 1, "\u00b2": 1, "Ma\u00dfe": 1, "Masse": 1}))


def test_of_many_doubtful_classes_a_few_are_named() -> None:
    doubts = list(doubtful_classes({form: 1 for i in range(60) for form in (f"a{i}", f"A{i}")}))
    assert len(doubts) == 6
    assert doubts[-1].startswith("55 more sets of classes that differ")
    (doubt,) = doubtful_classes({"word" + " " * i + "s": 1 for i in range(1, 9)})
    assert "and 3 more differ" in doubt
