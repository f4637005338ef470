"""`throughtime predict`: every kind of input and output, and every kind of bad input."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from throughtime.runtime import Predictor

Run = Callable[..., Any]
TEXTS = ["a good film", "", "very bad", "the plot was awful!"]


def rows(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def expected(model_path: Path) -> list[dict[str, Any]]:
    """What the library says of TEXTS, in the form of the command's lines."""
    predictor = Predictor.load(model_path)
    probabilities = predictor.predict_proba(TEXTS)
    return [
        {"text": text, "label": label, "probabilities": dict(zip(["neg", "pos"], row.round(6).tolist(), strict=True))}
        for text, label, row in zip(TEXTS, predictor.predict(TEXTS), probabilities, strict=True)
    ]


def test_texts_as_arguments(run: Run, model_path: Path) -> None:
    result = run("predict", model_path, *TEXTS)
    assert (result.code, result.err) == (0, "")
    assert rows(result.out) == expected(model_path)
    prior = rows(result.out)[1]
    assert prior == {"text": "", "label": "pos", "probabilities": {"neg": 0.333333, "pos": 0.666667}}


@pytest.mark.parametrize("arguments", [[], ["--input", "-"], ["-"], ["-i", "/dev/stdin"]])
def test_texts_from_standard_input(run: Run, model_path: Path, arguments: list[str]) -> None:
    result = run("predict", model_path, *arguments, stdin="\n".join(TEXTS).encode())
    assert rows(result.out) == expected(model_path)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_texts_from_a_text_file(run: Run, model_path: Path, tmp_path: Path, end: str, mark: bytes) -> None:
    (tmp_path / "in.TXT").write_bytes(mark + end.join([*TEXTS, ""]).encode())
    assert rows(run("predict", model_path, "--input", tmp_path / "in.TXT").out) == expected(model_path)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_texts_from_a_table(run: Run, model_path: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    if suffix == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        arrow = pytest.importorskip("pyarrow")
        parquet.write_table(arrow.table({"text": TEXTS, "id": [1, 2, 3, 4]}), path)
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "id": 1}) + "\n" for text in TEXTS))
    else:
        comma = "," if suffix == "csv" else "\t"
        path.write_text("".join(f"{comma.join(row)}\n" for row in [("text", "id"), *((f'"{t}"', "1") for t in TEXTS)]))
    assert rows(run("predict", model_path, "-i", path).out) == expected(model_path)


def test_a_named_column(run: Run, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,other\nbad,good\n")
    result = run("predict", model_path, "--input", tmp_path / "in.csv", "--text-column", "other")
    assert [row["text"] for row in rows(result.out)] == ["good"]
    message = run("predict", model_path, "--input", tmp_path / "in.csv", "--text-column", "third").refusal()
    assert "third" in message
    assert "other" in message


def test_output_to_a_file_replaces_it_as_a_whole(run: Run, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    result = run("predict", model_path, *TEXTS, "--output", tmp_path / "out.jsonl")
    assert (result.code, result.out) == (0, "")
    assert rows((tmp_path / "out.jsonl").read_text()) == expected(model_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.jsonl"]


@pytest.mark.parametrize(
    ("which", "name"),
    [*(("stdout", name) for name in ("-", "/dev/stdout", "//dev/fd/1", "out.jsonl")), ("stderr", "/dev/stderr")],
)
def test_standard_streams_by_any_name_keep_what_others_write(
    model_path: Path, tmp_path: Path, which: str, name: str
) -> None:
    out = tmp_path / "out.jsonl"
    with out.open("wb") as stream:
        stream.write(b"before\n")
        stream.flush()
        command = [sys.executable, "-m", "throughtime", "predict", str(model_path), *TEXTS, "--output", name]
        streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, which: stream}
        subprocess.run(command, check=True, timeout=60, cwd=tmp_path, **streams)
        stream.write(b"after\n")
    before, *lines, after = out.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert rows("\n".join(lines)) == expected(model_path)


def test_a_number_of_an_open_file_is_written_into(model_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with out.open("wb") as stream:
        stream.write(b"before\n")
        stream.flush()
        name, number = f"/dev/fd/{stream.fileno()}", stream.fileno()
        command = [sys.executable, "-m", "throughtime", "predict", str(model_path), *TEXTS, "--output", name]
        done = subprocess.run(command, check=True, timeout=60, pass_fds=(number,), capture_output=True)
        stream.write(b"after\n")
    before, *lines, after = out.read_text().splitlines()
    assert (before, after, done.stdout) == ("before", "after", b"")
    assert rows("\n".join(lines)) == expected(model_path)


def test_what_is_read_is_not_written_to(
    run: Run, model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, folder = tmp_path / "in.txt", tmp_path / "texts"
    texts.write_text("good\n")
    (tmp_path / "link.txt").symlink_to(texts)
    for name in ("in.txt", "link.txt"):
        message = run("predict", model_path, "-i", texts, "-o", tmp_path / name).refusal()
        assert f"{name} is a file that the texts are read from" in message
    (folder / "pos").mkdir(parents=True)
    (folder / "pos" / "1.txt").write_text("good\n")
    assert "1.txt is a file" in run("predict", model_path, "-i", folder, "-o", folder / "pos" / "1.txt").refusal()
    assert texts.read_text() == (folder / "pos" / "1.txt").read_text() == "good\n"
    monkeypatch.chdir(folder)
    assert len(rows(run("predict", model_path, "-i", ".", "-o", "-").out)) == 1


@pytest.mark.parametrize("arguments", [["-i", "in.txt"], ["-i", "-"], ["-i", "-", "-o", "in.txt"], []])
def test_a_shell_cannot_have_a_file_read_and_written_to_either(
    arguments: list[str], model_path: Path, tmp_path: Path
) -> None:
    """predict DIR -i in.txt >> in.txt would read its own answers, and more of them, without end."""
    texts = tmp_path / "in.txt"
    texts.write_text("good\n")
    with texts.open("rb") as source, texts.open("ab") as target:
        command = [sys.executable, "-m", "throughtime", "predict", str(model_path), *arguments]
        done = subprocess.run(
            command, timeout=60, cwd=tmp_path, stdin=source, stdout=target, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"is a file that the texts are read from: choose another place" in done.stderr
    assert texts.read_text() == "good\n"


def test_bad_input_leaves_the_old_output(run: Run, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("old")
    lines = b"good\n" * 5000 + b"\xff\n"
    message = run("predict", model_path, "-i", "-", "-o", tmp_path / "out.jsonl", stdin=lines).refusal()
    assert message.startswith("standard input, line 5001: not UTF-8 (byte 0xff at position 1)")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("in.txt", b"good\n" * 5000 + b"b\xe9d\n", "in.txt, line 5001: not UTF-8 (byte 0xe9 at position 2); save"),
        ("in.txt", b"good\nb\0d\n", "in.txt, line 2: a NUL byte"),
        ("in.csv", b"text,id\n" + b"good,1\n" * 5000 + b"b\xe9d,1\n", "in.csv, line 5002"),
        ("in.csv", b"text,id\n" + b"good,1\n" * 5000 + b"bad,1,2\n", "in.csv, line 5002"),
        ("in.csv", b"text,id\n" + b"good,1\n" * 5000 + b"b\0d,1\n", "in.csv, line 5002"),
        ("in.csv", b"", "in.csv"),
        ("in.jsonl", b'{"text": "good"}\n' * 5000 + b"{\n", "in.jsonl, line 5001"),
        ("in.parquet", b"PAR1 nonsense", "in.parquet"),
        ("in.docx", b"x", "in.docx"),
    ],
)
def test_a_bad_file_is_refused_before_the_first_result(
    run: Run, model_path: Path, tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert complaint in run("predict", model_path, "--input", tmp_path / name).refusal()


@pytest.mark.parametrize("fifo", [False, True])
def test_who_writes_a_line_and_waits_is_answered(model_path: Path, tmp_path: Path, fifo: bool) -> None:
    source = str(tmp_path / "fifo") if fifo else "-"
    if fifo:
        os.mkfifo(source)
    command = [sys.executable, "-m", "throughtime", "predict", str(model_path), "--input", source]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        unanswered = threading.Timer(60, process.kill)
        unanswered.start()
        with Path(source).open("wb") if fifo else process.stdin as lines:
            for text in TEXTS:
                lines.write(text.encode() + b"\n")
                lines.flush()
                assert json.loads(process.stdout.readline())["text"] == text
        assert process.stdout.read() == b""
        unanswered.cancel()
    assert process.returncode == 0


def test_bad_calls(run: Run, model_path: Path, tmp_path: Path) -> None:
    assert "give texts or --input FILE, not both" in run("predict", model_path, "x", "--input", "-").refusal()
    for option in ("--input", "--output"):
        assert "an empty file name" in run("predict", model_path, option, "", stdin=b"x").refusal()
    assert "needs an --input file with columns" in run("predict", model_path, "x", "--text-column", "y").refusal()
    assert "nowhere.txt: no such file" in run("predict", model_path, "-i", tmp_path / "nowhere.txt").refusal()
    (tmp_path / "in.md").write_text("a good film\n")
    assert "give a .txt file" in run("predict", model_path, "-i", tmp_path / "in.md").refusal()
    assert "nowhere.csv" in run("predict", model_path, "-i", tmp_path / "nowhere.csv").refusal()
    assert "nowhere does not exist" in run("predict", tmp_path / "nowhere", "x").refusal()
    assert "it is a folder" in run("predict", model_path, "x", "-o", tmp_path).refusal()
    assert "its folder does not exist" in run("predict", model_path, "x", "-o", tmp_path / "no" / "out").refusal()
    for number in ("987", "999999999"):
        message = run("predict", model_path, "x", "-o", f"/dev/fd/{number}").refusal()
        assert "no file is open under this number" in message
    assert "cannot write" in run("predict", model_path, "x", "-o", "/dev/fd/9999999999").refusal()
    with (model_path / "config.json").open("rb") as stream:
        message = run("predict", model_path, "x", "-o", f"/dev/fd/{stream.fileno()}").refusal()
    assert "open for reading only" in message
    (model_path / "model.safetensors").write_bytes(b"")
    message = run("predict", model_path, "x").refusal()
    assert "model.safetensors has 0 bytes, but config.json says" in message


def test_a_full_disk_is_said_in_one_line(run: Run, model_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs the device /dev/full, which this system does not have")
    assert "cannot write /dev/full: the disk is full" in run("predict", model_path, "x", "-o", "/dev/full").refusal()


def test_texts_can_be_left_out(run: Run, model_path: Path) -> None:
    assert [set(row) for row in rows(run("predict", model_path, "x", "--no-text").out)] == [{"label", "probabilities"}]


def test_unicode_passes_and_what_is_none_is_replaced(run: Run, model_path: Path) -> None:
    odd = os.fsdecode(b"good \xff")
    result = run("predict", model_path, "电影 好", odd)
    assert [row["text"] for row in rows(result.out)] == ["电影 好", "good \ufffd"]
    assert "电影" in result.out


def test_labels_keep_their_type(run: Run, tmp_path: Path, write_model: Any) -> None:
    write_model(tmp_path / "ints", ("-1", "7", "30"), label_kind="int")
    write_model(tmp_path / "bools", ("False", "True"), label_kind="bool")
    assert rows(run("predict", tmp_path / "ints", "").out)[0]["label"] == 30
    [row] = rows(run("predict", tmp_path / "bools", "").out)
    assert row["label"] is True
    assert set(row["probabilities"]) == {"True", "False"}


def test_a_very_long_text_and_very_many_texts(run: Run, model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("good film " * 500_000 + "\n" + "bad\n" * 5000)
    result = rows(run("predict", model_path, "--input", tmp_path / "in.txt", "--no-text").out)
    assert len(result) == 5001
    probabilities = np.array([row["probabilities"]["pos"] for row in result[1:]])
    assert (probabilities == probabilities[0]).all()
