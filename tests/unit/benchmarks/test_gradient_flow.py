"""The pictures of docs/gradient-flow.md, at small sizes: all are made, and the table has a row for each flow."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import gradient_flow
from benchmarks.gradient_flow import (
    CELLS,
    GAINS,
    cell_flows,
    clipping_picture,
    clipping_runs,
    constant_loss,
    loss_picture,
    main,
    reach_picture,
)
from throughtime.flow.tasks import scored_sequences

PICTURES = ("reach", "loss", "gain", "clipping", "lstm")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(gradient_flow, "STEPS", 12)
    monkeypatch.setattr(gradient_flow, "HIDDEN", 4)
    monkeypatch.setattr(gradient_flow, "save", lambda figure, path: figure.savefig(path, dpi=40))
    monkeypatch.setattr(gradient_flow, "clipping_runs", lambda: clipping_runs(3))


def test_one_command_makes_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "pictures")]) == 0
    said = capsys.readouterr().out
    rows = [line.split(" | ")[0].strip("| ") for line in said.splitlines() if line.startswith("| ")][1:]
    assert rows == [*CELLS, *(f"g = {gain:g}" for gain in GAINS)]
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == sorted(f"{name}{end}.png" for name in PICTURES for end in ("", "-dark"))


def test_clipping_is_all_that_differs_between_the_two_runs() -> None:
    free, clipped = clipping_runs(3).values()
    assert free.experiment.clip_norm is None
    assert clipped.experiment.clip_norm == 1.0
    assert free.history[0].gradient_norm == clipped.history[0].gradient_norm
    assert free.history[0].held_out_loss != clipped.history[0].held_out_loss


def test_the_lstm_that_keeps_its_memory_in_c_has_a_dotted_line_that_shows_it() -> None:
    flows = cell_flows()
    chrono = flows["LSTM, chrono"].worst
    assert chrono.loss_to_c is not None
    for picture, values in ((reach_picture, chrono.norm), (loss_picture, chrono.loss_to_c)):
        [panel] = picture(flows, "light").axes
        [dotted] = [line for line in panel.lines if line.get_linestyle() == ":"]
        assert np.array_equal(dotted.get_ydata(), values.median)


def test_the_line_beside_the_losses_is_of_the_same_sequences() -> None:
    outcomes = clipping_runs(3)
    experiment = outcomes["clipped to 1"].experiment
    target = scored_sequences(experiment).target
    assert target.shape == (experiment.held_out,)
    _, losses = clipping_picture(outcomes, "light").axes
    for panel in (losses, *losses.child_axes):
        assert float(np.mean((target.numpy() - 1.0) ** 2)) == pytest.approx(np.asarray(panel.lines[-1].get_ydata())[0])
    assert constant_loss(experiment) != pytest.approx(outcomes["clipped to 1"].baseline, rel=1e-3)
