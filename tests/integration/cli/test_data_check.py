"""`throughtime data check` as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from throughtime.cli.data import data_app
from throughtime.spec.errors import DataError

RUN = CliRunner()


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("text,label\n" + "".join(f"review number {i},{i % 2}\n" for i in range(1200)), encoding="utf-8")
    return path


def test_facts_and_verdict_are_plain_lines_where_there_is_no_terminal(reviews: Path) -> None:
    done = RUN.invoke(data_app, ["check", str(reviews)])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        f"data: {reviews}",
        "rows: 1,200",
        "classes: 2 (integers)",
        "words a text: min 3, median 3, mean 3, 95 % up to 3, max 3",
        "characters a text: min 15, median 17, mean 17, 95 % up to 18, max 18",
        "longest text: line 1002",
        "empty texts: 0",
        "repeated texts: 0",
        "texts with several labels: 0",
        "class 0: 600 (50.0%)",
        "class 1: 600 (50.0%)",
        "",
        "Nothing is wrong with this data.",
    ]
    assert done.stderr == ""


def test_json_holds_the_whole_report(reviews: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.jsonl"
    test.write_text('{"text": "review number 5", "label": "1"}\n{"text": "好 \\ud800", "label": "0"}\n')
    done = RUN.invoke(data_app, ["check", str(reviews), "--test", str(test), "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["classes"] == {"0": 600, "1": 600}
    assert report["test"]["rows"] == 2
    assert report["overlap"] == {"texts": 1, "groups": None, "unknown_labels": []}
    assert any("1 text of" in warning for warning in report["warnings"])


def test_findings_of_both_sets_are_named_with_their_set(reviews: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text("text,label\nreview number 5,1\n,0\n")
    done = RUN.invoke(data_app, ["check", str(reviews), "--test", str(test)])
    assert f"warning: {reviews}: 1 text of {test} also in {reviews} (first: line 2)" in done.stdout
    assert f"warning: {test}: 1 text empty or white space (first: line 3)" in done.stdout
    assert done.stdout.endswith("This data can be trained on; mind the warnings.\n")


def test_what_the_default_recipe_refuses_is_not_said_to_train(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\ngood film,pos\nbad film,neg\n")
    done = RUN.invoke(data_app, ["check", str(path)])
    assert done.exit_code == 0
    assert done.stdout.endswith("The default recipe refuses this data as it is; see the warnings.\n")
    report = json.loads(RUN.invoke(data_app, ["check", str(path), "--json"]).stdout)
    assert (report["refused"], report["problems"]) == (True, [])


def test_columns_are_given_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("words,mood,who\n" + "".join(f"w{i},{'ab'[i % 2]},p{i % 3}\n" for i in range(30)))
    done = RUN.invoke(
        data_app,
        ["check", str(path), "--text-column", "words", "--label-column", "mood", "--group-column", "who", "--json"],
    )
    report = json.loads(done.stdout)
    assert (report["classes"], report["groups"]) == ({"a": 15, "b": 15}, 3)
    done = RUN.invoke(data_app, ["check", str(path), "--text-column", "words", "--unlabelled", "--json"])
    assert json.loads(done.stdout)["classes"] is None
    done = RUN.invoke(data_app, ["check", str(path), "--text-column", "words", "--unlabelled"])
    assert "class" not in done.stdout.replace("Nothing is wrong with this data", "")


def test_data_that_cannot_be_trained_on_is_reported_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nx,1\ny,1\n")
    done = RUN.invoke(data_app, ["check", str(path)])
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(f"{path}: one class only ('1')")
    assert "rows: 2" in done.stdout
    assert done.stdout.endswith("This data cannot be trained on as it is.\n")


def test_a_file_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\nx,1\nna\xefve,0\n")
    done = RUN.invoke(data_app, ["check", str(path)])
    assert isinstance(done.exception, DataError)
    assert "line 3: invalid UTF-8" in str(done.exception)
    assert done.stdout == ""


def test_labels_that_would_change_a_terminal_are_shown_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [json.dumps({"text": f"t{i}", "label": ["\x1b[31mred", "\ud800", "[bold]"][i % 3]}) for i in range(30)]
    path.write_text("\n".join(lines))
    done = RUN.invoke(data_app, ["check", str(path)])
    assert done.exit_code == 0, done.output
    assert r"class \x1b[31mred: 10 (33.3%)" in done.stdout
    assert r"class \ud800: 10 (33.3%)" in done.stdout
    assert "class [bold]: 10 (33.3%)" in done.stdout


def test_many_classes_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"t{i},c{i % 23:02}\n" for i in range(230)))
    lines = RUN.invoke(data_app, ["check", str(path)]).stdout.splitlines()
    assert "class c19: 10 (4.3%)" in lines
    assert "class … 3 more: 30 (13.0%)" in lines
    assert not any(line.startswith("class c20") for line in lines)


def test_neither_torch_nor_parquets_library_is_loaded_for_a_csv_file(reviews: Path) -> None:
    code = (
        "import sys; from throughtime.cli.data import data_app\n"
        "loaded = {'numpy', 'pyarrow', 'torch'} & set(sys.modules)\n"
        f"data_app(['check', {str(reviews)!r}], standalone_mode=False)\n"
        "print(sorted(loaded), sorted({'pyarrow', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] []"
