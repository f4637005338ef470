"""`throughtime diagnose`: its table, its files, its refusals."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from throughtime.cli import diagnose
from throughtime.runtime.model_dir import read_model_directory, write_model_directory
from throughtime.spec.errors import OptionError
from throughtime.spec.model import EncoderConfig, HeadConfig
from throughtime.text.training.flow import directory_flow

Run = Callable[..., Any]
ROWS = [("a good film !", "pos"), ("very bad .", "neg"), ("awful", "neg"), ("", "neg"), ("great , great", "pos")]
PNG = b"\x89PNG"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS))
    return path


def test_it_prints_a_verdict_and_writes_numbers_and_pictures(run: Run, model_path: Path, data: Path) -> None:
    before = {file.name: file.read_bytes() for file in model_path.iterdir()}
    result = run("diagnose", model_path, data)
    assert (result.code, result.err) == (
        0,
        "measuring on 5 texts\nmeasured layer 0, forward\nmeasured layer 0, reverse\n",
    )
    for part in (
        "verdict: ",
        "advice: ",
        "layer 0, reverse",
        "afresh every 5 tokens",
        "1 of the texts are empty",
        "f  ",
    ):
        assert part in result.out
    assert result.out.splitlines()[0] == f"{model_path} on {data}"
    numbers = json.loads((model_path / "gradient-flow.json").read_text())
    model = read_model_directory(model_path)  # whole, with the new files in its folder
    texts, labels = zip(*ROWS, strict=True)
    assert numbers == json.loads(directory_flow(model, texts, labels, seed=0).to_json())
    for name in ("gradient-flow.png", "gradient-flow-dark.png"):
        assert (model_path / name).read_bytes()[:4] == PNG
        assert str(model_path / name) in result.out
    assert {name: (model_path / name).read_bytes() for name in before} == before


def test_json_and_a_folder_of_its_own(run: Run, model_path: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    result = run("diagnose", model_path, data, "--json", "--out", out)
    assert result.code == 0
    assert result.out == (out / "gradient-flow.json").read_text()
    assert json.loads(result.out)["verdict"] in ("healthy", "vanishing", "saturated", "exploding")
    assert sorted(file.name for file in out.iterdir()) == [
        "gradient-flow-dark.png",
        "gradient-flow.json",
        "gradient-flow.png",
    ]
    assert not (model_path / "gradient-flow.json").exists()


def test_texts_are_drawn_from_all(run: Run, model_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    path.write_text("text,label\n" + "".join(f"film {'very ' * (row % 4)},pos\n" for row in range(300)))
    loss = []
    for arguments in (("--limit", 3), ("--limit", 3), ("--limit", 3, "--seed", 1), ("--limit", 1000)):
        result = run("diagnose", model_path, path, "--json", "--out", tmp_path / "out", *arguments)
        numbers = json.loads(result.out)
        loss.append(numbers["loss"]["value"])
        assert numbers["sequences"] == min(300, arguments[1])
    assert loss[0] == loss[1] != loss[2]
    texts, labels = diagnose._draw(diagnose_source(path), ("neg", "pos"), 40, 0)
    assert (len(texts), labels) == (40, ["pos"] * 40)
    assert 2 < sum(text.count("very") == 0 for text in texts) < 20


def diagnose_source(path: Path) -> Any:
    from throughtime.text.reading import Columns, open_source

    return open_source(str(path), Columns())


def test_without_matplotlib_it_says_so_and_writes_the_rest(
    run: Run, model_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: object) -> None:
        raise OptionError("pictures need matplotlib, which is not installed: pip install 'throughtime[report]'")

    monkeypatch.setattr("throughtime.flow.plot.save_themes", missing)
    result = run("diagnose", model_path, data)
    assert result.code == 0
    assert "no picture: pictures need matplotlib" in result.err
    assert (model_path / "gradient-flow.json").exists()
    assert not (model_path / "gradient-flow.png").exists()


def test_a_bag_has_no_flow(run: Run, model_path: Path, data: Path, tmp_path: Path) -> None:
    model = read_model_directory(model_path)
    config = replace(model.config, encoder=EncoderConfig("bag", 17, 4), head=HeadConfig("mean", 2))
    tensors = {name: model.tensors[name] for name in ("embedding.weight", "head.output.bias")}
    tensors["head.output.weight"] = model.tensors["head.output.weight"][:, :4]
    write_model_directory(tmp_path / "bag", config, tensors, model.tokenizer_json, {}, [], "")
    assert "bag of words" in run("diagnose", tmp_path / "bag", data).refusal()


@pytest.mark.parametrize("made_before", [True, False])
def test_interrupted_it_leaves_nothing(
    run: Run, model_path: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_before: bool
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("throughtime.text.training.flow.text_flow", interrupted)
    out = tmp_path / "all" / "flow"
    if made_before:
        out.mkdir(parents=True)
    assert run("diagnose", model_path, data, "--out", out).code == 130
    assert out.exists() == out.parent.exists() == made_before


@pytest.mark.parametrize(("given", "threads"), [(None, 1), ("2", 2)])
def test_a_small_model_is_measured_on_one_thread_unless_the_user_has_said_how_many(
    run: Run, model_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, threads: int
) -> None:
    found: list[int] = []

    def interrupted(*_: object, **__: object) -> None:
        found.append(torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr("throughtime.text.training.flow.text_flow", interrupted)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert run("diagnose", model_path, data).code == 130
        assert (found, torch.get_num_threads()) == ([threads], 2)
    finally:
        torch.set_num_threads(before)


def test_bad_input(run: Run, model_path: Path, data: Path, tmp_path: Path) -> None:
    assert "nowhere.csv" in run("diagnose", model_path, tmp_path / "nowhere.csv").refusal()
    assert "does not exist" in run("diagnose", tmp_path / "none", data).refusal()
    (tmp_path / "no-labels.csv").write_text("text\ngood\n")
    assert "no-labels.csv" in run("diagnose", model_path, tmp_path / "no-labels.csv").refusal()
    (tmp_path / "header.csv").write_text("text,label\n")
    assert "header.csv" in run("diagnose", model_path, tmp_path / "header.csv").refusal()
    (tmp_path / "empty.csv").write_text("text,label\n,pos\n")
    assert "single token" in run("diagnose", model_path, tmp_path / "empty.csv").refusal_after_progress()
    (tmp_path / "file").write_text("")
    assert "cannot write" in run("diagnose", model_path, data, "--out", tmp_path / "file" / "x").refusal()
    assert "the name is too long" in run("diagnose", model_path, data, "--out", tmp_path / ("x" * 300)).refusal()
    assert "--limit" in run("diagnose", model_path, data, "--limit", 0).refusal()
    with data.open("a") as stream:
        stream.write("fine,neutral\n")
    message = run("diagnose", model_path, data).refusal()
    assert "data.csv, line 7: label 'neutral' is no class of the model (neg, pos): correct it" in message
