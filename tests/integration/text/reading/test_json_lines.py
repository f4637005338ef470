"""JSON Lines files."""

from typing import Any

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import Columns, open_source


def test_objects_give_texts_labels_groups_and_lines(write: Any, everything: Any) -> None:
    path = write(
        "a.jsonl",
        '\ufeff{"text": "good", "label": 1, "by": "x"}\n\n  \n{"by": 7, "label": 0, "text": "b\\nad", "more": [1]}\n',
    )
    source = open_source(path, Columns(group="by"))
    rows = everything(source)
    assert rows == (["good", "b\nad"], ["1", "0"], ["x", "7"], [f"{path}, line 1", f"{path}, line 4"])
    assert source.label_kind == "int"


@pytest.mark.parametrize(("label", "kind"), [('"a"', "str"), ("3", "int"), ("true", "bool"), ("2.0", "float")])
def test_the_kind_of_the_labels_is_what_json_says(label: str, kind: str, write: Any) -> None:
    assert open_source(write("a.ndjson", f'{{"text": "x", "label": {label}}}\n')).label_kind == kind


def test_escaped_nuls_and_lone_surrogates_are_texts(write: Any, everything: Any) -> None:
    source = open_source(write("a.jsonl", r'{"text": "a\u0000b\ud800c", "label": "x"}' + "\n"))
    assert everything(source).texts == ["a\0b\ud800c"]
    assert len(source.fingerprint()) == 64


def test_only_strings_are_guessed_to_be_texts(write: Any, everything: Any) -> None:
    source = open_source(write("a.jsonl", '{"id": 1, "words": "x", "class": 2}\n'))
    assert everything(source)[:2] == (["x"], ["2"])


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ('{"text": "x", "label": ', ["line 2: invalid JSON (", "at column", "write one whole JSON object"]),
        ('["x", 1]', ["line 2: not a JSON object but an array"]),
        ('{"label": 1}', ["line 2: no key 'text' (the keys are 'label')", "add it or remove this row"]),
        ('{"text": "x"}', ["line 2: no key 'label'"]),
        ('{"text": null, "label": 1}', ["line 2: the text in 'text' is null, not a string"]),
        ('{"text": 5, "label": 1}', ["line 2: the text in 'text' is a number"]),
        ('{"text": "x", "label": null}', ["line 2: no label in column 'label'"]),
        ('{"text": "x", "label": NaN}', ["line 2: no label in column 'label'"]),
        ('{"text": "x", "label": 0.5}', ["line 2: label 0.5", "regression target"]),
        ('{"text": "x", "label": {"a": 1}}', ["line 2: the label in column 'label' is a dict"]),
        ('{"text": "x", "label": "1"}', ["line 2: label 1 is of type str, but that of line 1 is int"]),
        ("[" * 100_000, ["line 2: JSON that cannot be read", "correct or remove this line"]),
        ('{"text": "x", "label": ' + "1" * 5000 + "}", ["line 2: JSON that cannot be read"]),
    ],
)
def test_a_bad_line_is_named(line: str, parts: list[str], write: Any, everything: Any) -> None:
    path = write("a.jsonl", '{"text": "good", "label": 1}\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        everything(open_source(path))
    assert str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_a_row_without_group_is_named(write: Any, everything: Any) -> None:
    path = write("a.jsonl", '{"text": "x", "label": 1, "by": null}\n')
    with pytest.raises(DataError, match=r"line 1: no group in 'by' \(it is null\).*leave out --group-column"):
        everything(open_source(path, Columns(group="by")))
