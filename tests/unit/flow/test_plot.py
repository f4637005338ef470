"""Pictures: what is on them, that all of it can be read on both kinds of page, and what is refused."""

import builtins
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Text

from throughtime import flow
from throughtime.flow import plot
from throughtime.flow.themes import COLOURS, Colours
from throughtime.nn import GRU, LSTM, RNN
from throughtime.spec.errors import OptionError, OutputError


@pytest.fixture(scope="module")
def measured() -> flow.GradientFlow:
    torch.manual_seed(0)
    return flow.measure(LSTM(2, [3, 4], bidirectional=True), torch.randn(20, 3, 2), lengths=[20, 9, 14])


@pytest.mark.parametrize("theme", COLOURS)
def test_every_axis_has_a_unit_and_every_text_lies_on_the_page(measured: flow.GradientFlow, theme: Any) -> None:
    figure = measured.plot(theme=theme)
    panels = figure.axes
    assert len(panels) == 4
    for panel in panels[:3]:
        assert "(" in panel.get_xlabel()
        assert "(" in panel.get_ylabel()
    assert "(%)" in panels[3].get_xlabel()
    assert [panel.get_yscale() for panel in panels] == ["log", "log", "linear", "linear"]
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text():
            box = text.get_window_extent()
            assert 0 <= box.x0 <= box.x1 <= width, text.get_text()
            assert 0 <= box.y0 <= box.y1 <= height, text.get_text()
    labels = [text for text in panels[0].texts if text.get_text() in ("0→", "0←", "1→", "1←")]
    assert len(labels) == 4
    for one, other in itertools.combinations(labels, 2):
        assert not one.get_window_extent().overlaps(other.get_window_extent())


@pytest.mark.parametrize("ending", plot.FORMATS)
def test_files_are_what_their_ending_says(measured: flow.GradientFlow, ending: str, tmp_path: Path) -> None:
    measured.plot(tmp_path / f"flow{ending}")
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending]
    assert (tmp_path / f"flow{ending}").read_bytes().startswith(start)


def test_a_picture_for_each_kind_of_page(measured: flow.GradientFlow, tmp_path: Path) -> None:
    light, dark = plot.save_themes(measured, tmp_path / "both.png")
    assert (light.name, dark.name) == ("both.png", "both-dark.png")
    assert light.read_bytes() != dark.read_bytes()


def test_a_measurement_read_back_gives_the_same_picture(measured: flow.GradientFlow, tmp_path: Path) -> None:
    again = flow.GradientFlow.from_json(measured.to_json())
    assert again.to_dict() == measured.to_dict()
    assert str(again) == str(measured)
    measured.plot(tmp_path / "one.svg")
    again.plot(tmp_path / "other.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "other.svg").read_bytes()


def test_several_models_in_one_picture(measured: flow.GradientFlow) -> None:
    torch.manual_seed(0)
    flows = {name: flow.measure(cell(2, 4), torch.randn(30, 2, 2)) for name, cell in (("GRU", GRU), ("RNN", RNN))}
    figure = plot.compare(flows | {"both ways": measured}, title="Three models")
    (panel,) = figure.axes
    texts = [text.get_text() for text in panel.texts]
    for name, one in (flows | {"both ways": measured}).items():
        assert f"{name}: {one.verdict}" in texts
    with pytest.raises(OptionError, match="at least one flow"):
        plot.compare({})


def test_what_is_zero_or_infinite_is_drawn_beyond_the_axis() -> None:
    dead = RNN(2, 3, nonlinearity="relu")
    with torch.no_grad():
        dead.get_parameter("bias_ih_l0").fill_(-1e3)
    figure = flow.measure(dead, torch.randn(10, 3, 2)).plot()
    figure.canvas.draw()
    wild = RNN(2, 3, nonlinearity="identity", dtype=torch.float64)
    with torch.no_grad():
        wild.get_parameter("weight_hh_l0").copy_(10.0 * torch.eye(3))
    measured = flow.measure(wild, torch.randn(40, 3, 2))
    assert measured.verdict == "exploding"
    measured.plot().canvas.draw()


def test_refusals(measured: flow.GradientFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="theme must be one of light, dark"):
        measured.plot(theme="sepia")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"must end in \.png, \.svg, \.pdf"):
        measured.plot(tmp_path / "flow.jpg")
    with pytest.raises(OutputError, match="folder does not exist"):
        measured.plot(tmp_path / "no" / "flow.png")
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"pip install 'throughtime\[report\]'"):
        measured.plot()


def linear(colour: str) -> Any:
    """Linear RGB of "#RRGGBB" (sRGB, IEC 61966-2-1)."""
    values = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Of WCAG 2: 1 (none) to 21."""
    light, dark = sorted((float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", COLOURS.values(), ids=COLOURS)
def test_contrast(look: Colours) -> None:
    """Text as WCAG's level AA asks (4.5); lines, which are thick and labelled, at least 2."""
    for colour in (look.text, look.muted):
        assert contrast(colour, look.background) >= 4.5
    for colour in look.lines:
        assert contrast(colour, look.background) >= 2.0
    for colour in look.verdicts.values():
        assert contrast(colour, look.background) >= 3.0


# How colours look to those without red, green or blue cones, in linear RGB (Machado et al. 2009, severity 1).
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("matrix", BLINDNESS.values(), ids=BLINDNESS)
@pytest.mark.parametrize("look", COLOURS.values(), ids=COLOURS)
def test_the_first_four_lines_stay_apart_without_one_kind_of_cone(look: Colours, matrix: list[list[float]]) -> None:
    seen = [np.cbrt(np.clip(np.array(matrix) @ linear(colour), 0, 1)) for colour in look.lines[:4]]
    for one, other in itertools.combinations(seen, 2):
        assert math.dist(one, other) > 0.1
    ends = [np.cbrt(np.clip(np.array(matrix) @ linear(colour), 0, 1)) for colour in (look.low, look.between, look.high)]
    for one, other in itertools.combinations(ends, 2):
        assert math.dist(one, other) > 0.1
