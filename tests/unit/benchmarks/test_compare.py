"""Results survive their file; two files are set side by side the right way round."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import differences, in_one_only, main
from benchmarks.results import Result, ResultsError, Run, load, readable, save

CONDITIONS: dict[str, Any] = {
    "date": "2026-01-01T00:00:00+00:00",
    "commit": "abc",
    "machine": {"cpu": "a processor", "cores": 2},
    "threads": {"torch": 2},
    "versions": {"python": "3.11.0", "throughtime": "0.1.0", "torch": "2.13.0"},
    "quick": False,
}


def _run(*results: Result, **changes: Any) -> Run:
    return Run({**CONDITIONS, **changes}, list(results))


def _seconds(case: str, **samples: list[float]) -> Result:
    return Result(case, "s", "lower", samples)


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    run = _run(Result("speed", "tokens/s", "higher", {"throughtime": [1.5, 2.5]}, {"real_share": 0.58}))
    save(run, tmp_path / "new" / "a.json")
    assert load(tmp_path / "new" / "a.json") == run
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "no JSON"),
        ("[]", "not results of format 1"),
        ('{"format": 2, "results": []}', "not results of format 1"),
        ('{"format": 1}', "not complete"),
        ('{"format": 1, "results": [{"case": "a"}]}', "not complete"),
    ],
)
def test_what_is_no_file_of_results_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "a.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=message) as raised:
        load(path)
    assert str(path) in str(raised.value)


def test_gain_is_above_one_where_the_second_run_is_better() -> None:
    faster = differences(_run(_seconds("a", ours=[4.0, 4.0, 9.0])), _run(_seconds("a", ours=[2.0, 2.0, 1.0])))
    assert [(d.contender, d.medians, d.gain) for d in faster] == [("ours", (4.0, 2.0), 2.0)]
    before = Result("a", "tokens/s", "higher", {"ours": [100.0]})
    after = Result("a", "tokens/s", "higher", {"ours": [150.0]})
    assert [d.gain for d in differences(_run(before), _run(after))] == [1.5]


def test_only_what_both_have_is_compared_and_the_rest_is_named() -> None:
    first = _run(_seconds("both", ours=[1.0], packed=[2.0]), _seconds("old", ours=[1.0]))
    second = _run(_seconds("new", ours=[1.0]), _seconds("both", ours=[1.0]))
    assert [(d.case, d.contender) for d in differences(first, second)] == [("both", "ours")]
    assert in_one_only(first, second) == ["new", "old"]


def test_the_table_says_what_is_not_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(_run(_seconds("a", ours=[0.004]), _seconds("b", ours=[1.0])), tmp_path / "a.json")
    save(_run(_seconds("a", ours=[0.002]), threads={"torch": 1}), tmp_path / "b.json")
    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out
    assert "not alike: threads: {'torch': 2} / {'torch': 1}" in printed
    assert "not alike: machine" not in printed
    assert "in one run only: b" in printed
    row = next(line for line in printed.splitlines() if line.startswith("| a "))
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["a", "ours", "4 ms ± 0%", "2 ms ± 0%", "2.00"]


def test_another_instruction_set_or_version_of_a_contender_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(_run(_seconds("a", ours=[1.0]), instruction_set="avx2", contenders={"JAX": {"jax": "1"}}), tmp_path / "a.json")
    save(_run(_seconds("a", ours=[1.0]), instruction_set="avx512", contenders={}), tmp_path / "b.json")
    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out
    assert "not alike: instruction_set: avx2 / avx512" in printed
    assert "not alike: contenders: {'JAX': {'jax': '1'}} / {}" in printed


def test_an_unreadable_file_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.5, "s", "2.5 s"),
        (0.0025, "s", "2.5 ms"),
        (2.5e-6, "s", "2.5 µs"),
        (1234.5, "MB", "1,234 MB"),
        (0.9999, "s", "1 s"),
        (123.4, "s", "123 s"),
        (0.4567, "s", "457 ms"),
        (1.25, "x", "1.25 x"),
    ],
)
def test_values_read_well(value: float, unit: str, text: str) -> None:
    assert readable(value, unit) == text
