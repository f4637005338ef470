"""Bad data on the command line: exit code 2, one line that says what, where and what to do, nothing half-written.

`train` shows progress on standard error before its message (stages, the model, epochs); every other command prints the
one line alone.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Write = Callable[..., Path]
Rows = list[tuple[str, str]]

GOOD = "good film,pos\nbad film,neg\n" * 20
HEAD = "text,label\n" + GOOD


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


BAD_TABLES = [
    ("d.csv", "", ["d.csv: the file is empty", "give a file with at least one row"]),
    ("d.csv", "text,label\n", ["d.csv: holds no rows", "give data with at least one row"]),
    ("d.csv", "\n", ["d.csv: no header", "the first line must name the columns"]),
    ("d.csv", HEAD.encode() + b"caf\xe9,pos\n", ["d.csv, line 42: invalid UTF-8 (byte 0xE9", "save the file as UTF-8"]),
    ("d.csv", HEAD.encode("utf-16"), ["d.csv, line 1: not UTF-8 but UTF-16", "save the file as UTF-8"]),
    ("d.csv", HEAD + "a\0b,pos\n", ["d.csv, line 42: a NUL byte", "remove the byte"]),
    ("d.csv", HEAD + "one, two,pos\n", ["line 42: too many fields, 3 where the header has 2", "between double quotes"]),
    ("d.csv", HEAD + '"never closed,pos\n', ["d.csv, line 42: a double quote", "close it"]),
    ("d.tsv", HEAD.replace(",", "\t") + "a\tb\tpos\n", ["d.tsv, line 42: too many fields", "a tab"]),
    ("d.jsonl", '{"text": "a", "label": "neg"}\n{"text": "a"\n', ["d.jsonl, line 2: invalid JSON", "write one whole"]),
    ("d.jsonl", '{"text": "a", "label": "neg"}\n{"label": "neg"}\n', ["d.jsonl, line 2: no key 'text'", "add it or"]),
    ("d.parquet", "no Parquet", ["d.parquet"]),
    ("d.doc", "text", ["d.doc: a format that is not known ('.doc')"]),
]


@pytest.mark.parametrize(("name", "content", "parts"), BAD_TABLES)
@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "test"])
def test_a_file_that_cannot_be_read(
    command: str, name: str, content: str | bytes, parts: list[str], run: Run, train: Run, data: Path, trained: Path,
    own_cache: Path, tmp_path: Path,
) -> None:  # fmt: skip
    bad = tmp_path / name
    bad.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = left(tmp_path)
    if command == "predict":
        message = run("predict", trained, "--input", bad, "--output", tmp_path / "result.jsonl").refusal()
    elif command == "evaluate":
        message = run("evaluate", trained, bad).refusal()
    elif command == "train":
        message = train(bad).refusal_after_progress()
    else:
        message = train(data, "--test", bad).refusal_after_progress()
    if name == "d.doc":
        parts = [*parts, "give a .txt file" if command == "predict" else "give a folder"]
    for part in parts:
        assert part in message
    assert left(tmp_path) == before
    assert left(own_cache) == []


@pytest.mark.parametrize("option", [None, "--test", "--validation"])
def test_a_file_that_is_not_there(option: str | None, train: Run, run: Run, data: Path, trained: Path) -> None:
    missing = data.with_name("none.csv")
    arguments = [missing] if option is None else [data, option, missing]
    expected = "none.csv: no such file or folder; check the path"
    before = left(data.parent)
    assert expected in train(*arguments).refusal_after_progress()
    assert expected in run("evaluate", trained, missing).refusal()
    assert expected in run("predict", trained, "--input", missing).refusal()
    assert left(data.parent) == before


@pytest.mark.parametrize("column", ["text", "label", "group"])
def test_a_column_that_is_not_there(column: str, train: Run, run: Run, data: Path, trained: Path) -> None:
    expected = f"data.csv: no column 'stars'; its columns are 'text', 'label': give one of them as --{column}-column"
    assert expected in train(data, f"--{column}-column", "stars").refusal_after_progress()
    if column != "group":
        assert expected in run("evaluate", trained, data, f"--{column}-column", "stars").refusal()
    if column == "text":
        assert expected in run("predict", trained, "--input", data, "--text-column", "stars").refusal()
    assert left(data.parent) == ["data.csv"]


def test_one_class_only(train: Run, rows: Rows, write: Write, tmp_path: Path, own_cache: Path) -> None:
    write(tmp_path / "d.csv", [(text, "pos") for text, _ in rows])
    message = train(tmp_path / "d.csv").refusal_after_progress()
    assert "d.csv: every row has the label 'pos'" in message
    assert (
        "needs rows of two classes at least, so add some, or name another column where the labels are in one" in message
    )
    assert (left(tmp_path), left(own_cache)) == (["d.csv"], [])


@pytest.mark.parametrize("part", ["test", "validation"])
def test_a_label_that_training_never_saw(
    part: str, train: Run, run: Run, data: Path, rows: Rows, write: Write, trained: Path, own_cache: Path
) -> None:
    other = write(data.with_name("other.csv"), [*rows[:5], ("so so", "neutral")])
    message = train(data, f"--{part}", other).refusal_after_progress()
    assert f"other.csv, line 7: label 'neutral' of the {part} data never stands in the training data" in message
    assert "('neg', 'pos'); correct it, remove the row, or add such rows to the training data" in message
    assert (left(data.parent), left(own_cache)) == (["data.csv", "other.csv"], [])
    wrong_column = write(data.with_name("other.csv"), [*rows[:5], ("so so", "a whole\treview " * 50)])
    message = train(data, f"--{part}", wrong_column).refusal_after_progress()
    assert "label 'a whole\\treview a whole" in message
    assert len(message) < 300
    write(other, [*rows[:5], ("so so", "neutral")])
    message = run("evaluate", trained, other).refusal()
    assert "other.csv, line 7: label 'neutral' is no class of the model (neg, pos): correct it" in message


def test_texts_without_anything_in_them(train: Run, run: Run, rows: Rows, write: Write, tmp_path: Path) -> None:
    """Counted and said, left out of training, and predicted as the classes' shares among the training texts."""
    empty = [("", "pos"), ("  ", "neg"), (" \t\n\u3000\u00a0", "pos"), ("\u200b", "pos")]
    data = write(tmp_path / "d.csv", [*rows, *empty, *rows[:2]])
    test = write(tmp_path / "t.csv", [*rows[:4], ("", "pos"), (" ", "neg")])
    result = train(data, "--test", test, "--set", "training.validation_fraction=0")
    assert result.code == 0, result.err
    assert "warning: 6 of 52 texts are empty: those for training (4) are left out" in result.err
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    facts = config["training"]["corpus"]
    assert (facts["empty_texts"], facts["empty_texts_train"], facts["empty_texts_test"]) == (6, 4, 2)
    assert "| corpus: empty texts | 6 |" in (tmp_path / "model" / "README.md").read_text()
    predicted = run("predict", tmp_path / "model", "", "  ", "\n\u3000")
    assert predicted.code == 0
    for line in predicted.out.splitlines():
        assert list(json.loads(line)["probabilities"].values()) == [0.5, 0.5]
    scores = json.loads(run("evaluate", tmp_path / "model", test, "--json").out)
    assert (scores["count"], scores["empty_texts"]) == (6, 2)


def test_nothing_but_empty_texts(train: Run, rows: Rows, write: Write, tmp_path: Path, own_cache: Path) -> None:
    write(tmp_path / "d.csv", [(" ", label) for _, label in rows])
    message = train(tmp_path / "d.csv", "--set", "training.validation_fraction=0").refusal_after_progress()
    assert "the training texts hold no token" in message
    write(tmp_path / "d.csv", [(text if label == "pos" else " ", label) for text, label in rows])
    message = train(tmp_path / "d.csv", "--set", "training.validation_fraction=0").refusal_after_progress()
    assert "d.csv: every training text of the class 'neg' is empty; add texts, or remove it" in message
    assert (left(tmp_path), left(own_cache)) == (["d.csv"], [])


def test_a_text_of_five_megabytes(train: Run, run: Run, rows: Rows, write: Write, tmp_path: Path) -> None:
    long = "a good and long film " * 250_000
    assert len(long) > 5_000_000
    write(tmp_path / "d.csv", [*rows, (long, "pos"), (long.replace(" ", ""), "neg")])
    result = train(tmp_path / "d.csv")
    assert result.code == 0, result.err
    result = run("predict", tmp_path / "model", "--input", tmp_path / "d.csv", "--no-text")
    assert (result.code, result.out.count("\n")) == (0, 42)
    assert run("evaluate", tmp_path / "model", tmp_path / "d.csv").code == 0


def test_a_hundred_thousand_rows_of_one_word(train: Run, write: Write, tmp_path: Path, own_cache: Path) -> None:
    """One class is refused. Of two, nothing can be held out, for equal texts stay together: that is said, with the way
    out, and the way out works, even with a recipe whose word vectors need more words than one.
    """
    data = write(tmp_path / "d.csv", [("word", "a")] * 100_000)
    assert "every row has the label 'a'" in train(data).refusal_after_progress()
    write(data, [("word", label) for label in "ab"] * 50_000)
    message = train(data).refusal_after_progress()
    assert "no rows can be held out for validation: the 100000 rows hold 1 different text (equal" in message
    assert message.endswith("or set training.validation_fraction to 0")
    assert (left(tmp_path), left(own_cache)) == (["d.csv"], [])
    few = ["--set", "training.validation_fraction=0", "--set", "training.max_steps=3"]
    result = train(data, *few, "--set", "training.min_steps=null", recipe=True)
    assert result.code == 0, result.err
    assert "warning: 3 tokens are too few for vectors of size" in result.err


@pytest.mark.parametrize(
    "label", ["a\u2028b", "a\x85b", "a\nb", "a\rb", "a\0b", "a|b`", "[PAD]", "é" * 300, "{}", "\u202eabc"]
)
def test_labels_of_any_characters(label: str, train: Run, run: Run, rows: Rows, tmp_path: Path) -> None:
    data = tmp_path / "d.jsonl"
    names = {"pos": label, "neg": "neg"}
    data.write_text("".join(json.dumps({"text": text, "label": names[name]}) + "\n" for text, name in rows))
    result = train(data)
    assert result.code == 0, result.err
    assert json.loads(run("evaluate", tmp_path / "model", data, "--json").out)["count"] == 40
    predicted = json.loads(run("predict", tmp_path / "model", "good").out)
    assert set(predicted["probabilities"]) == {label, "neg"}


def test_a_label_of_half_a_character(train: Run, rows: Rows, tmp_path: Path, own_cache: Path) -> None:
    data = tmp_path / "d.jsonl"
    data.write_text("".join(json.dumps({"text": t, "label": n.replace("pos", "\ud800")}) + "\n" for t, n in rows))
    message = train(data).refusal_after_progress()
    assert r"d.jsonl, line 2: label '\ud800' holds half a character (a lone surrogate); write the label" in message
    assert (left(tmp_path), left(own_cache)) == (["d.jsonl"], [])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("good 1 2 3\n", ["v.txt, line 1: its vectors have 3 numbers, but embedding_size is 6", "embedding_size to 3"]),
        ("2 3\ngood 1 2 3\n", ["v.txt, line 1: its vectors have 3 numbers, but embedding_size is 6"]),
        ("good 1 2 3 4 5 6\nbad 1 2 3\n", ["v.txt, line 2: 3 numbers, but the vectors before have 6", "remove"]),
        ("good 1 2 3 4 5 x\n", ["v.txt, line 1: not a number", "correct or remove"]),
        ("good 1 2 3 4 5 nan\n", ["v.txt, line 1: a number is not finite"]),
        ("", ["v.txt: the file is empty", "give a file of word vectors"]),
        ("gut 1 2 3 4 5 6\n", ["v.txt: holds no vector for any of the", "the texts' language"]),
        (None, ["v.txt: there is no such file", "give a file of word vectors"]),
    ],
)  # fmt: skip
def test_vectors_that_cannot_be_used(
    content: str | None, parts: list[str], run: Run, data: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "v.txt").write_text(content)
    before = left(tmp_path)
    small = ["--set", "encoder.embedding_size=6", "--set", "preprocessing.min_count=1"]
    out = tmp_path / "new" / "folder" / "model"
    result = run("train", data, "--out", out, *small, "--vectors", tmp_path / "v.txt")
    message = result.refusal_after_progress()
    for part in parts:
        assert part in message
    assert left(tmp_path) == before
