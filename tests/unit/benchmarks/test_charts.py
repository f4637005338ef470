"""Charts are drawn from results with contenders, alike from alike results; without matplotlib a line says so."""

import sys
from pathlib import Path

import pytest

from benchmarks.charts import draw, draw_if_possible, main, row_label
from benchmarks.results import OURS, Result, Run, save

RUN = Run(
    {},
    [
        Result(
            f"layers/{cell}/{work}",
            "s",
            "lower",
            {OURS: [0.01], "torch packed": [0.05], "a new library": [0.02]},
            {"flops": 10**9},
        )
        for cell in ("LSTM", "GRU")
        for work in ("training/4x24x16x16-ragged-bidirectional", "streaming/1x1x16x16-equal")
    ],
)


def test_rows_are_named_by_their_problem() -> None:
    assert [row_label(result) for result in RUN.results[:2]] == [
        "4 × 24 × 16 × 16 ragged both ways",
        "1 × 1 × 16 × 16",
    ]


def test_two_charts_a_kind_of_work_and_the_same_file_again(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    made = draw(RUN, tmp_path / "charts")
    assert [path.name for path in made] == [
        "ratios-training.svg",
        "rates-training.svg",
        "ratios-streaming.svg",
        "rates-streaming.svg",
    ]
    before = [path.read_bytes() for path in made]
    assert all(b"<svg" in content for content in before)
    assert [path.read_bytes() for path in draw(RUN, tmp_path / "charts")] == before


def test_a_file_of_results_is_drawn_by_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    save(RUN, tmp_path / "a.json")
    assert main([str(tmp_path / "a.json"), str(tmp_path), "--png"]) == 0
    assert str(tmp_path / "rates-training.png") in capsys.readouterr().out
    assert main([str(tmp_path / "b.json"), str(tmp_path)]) == 2


def test_without_matplotlib_or_layers_a_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "extra `report`" in draw_if_possible(RUN, tmp_path)
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    assert "no layer" in draw_if_possible(Run({}, []), tmp_path)
