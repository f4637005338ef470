"""The bag of words learns and is scored on the parts that training has."""

from pathlib import Path

import pytest

from benchmarks import bag_of_words


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("THROUGHTIME_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "data.csv"
    words = {"good": ["fine", "great", "lovely"], "bad": ["awful", "poor", "dull"]}
    rows = [f"film {i} was {words[label][i % 3]},{label}" for i in range(60) for label in words]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


@pytest.mark.parametrize("characters", [[], ["--characters"]])
def test_what_can_be_told_by_words_is(data: Path, characters: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bag_of_words.main([str(data), "--set", "training.validation_fraction=0.25", *characters]) == 0
    shown = capsys.readouterr().out
    assert "30 held-out texts" in shown
    assert shown.count("1.0000") == len(bag_of_words.STRENGTHS)
    assert shown.count("best") == 1


def test_bad_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bag_of_words.main([str(tmp_path / "none.csv")]) == 2
    assert "none.csv" in capsys.readouterr().err
