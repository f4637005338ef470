"""The tasks: what they ask, what one without memory can do, and that an experiment is its arguments alone."""

import builtins
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from throughtime.flow.tasks import (
    Adding,
    Batch,
    CopyMemory,
    Experiment,
    Parity,
    SequentialDigits,
    Task,
    digits,
    experiment,
    run,
    scored_sequences,
)
from throughtime.flow.tasks.__main__ import main
from throughtime.flow.tasks.training import Model, Trained, evaluate
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError

TASKS: list[Task] = [
    Adding(30),
    Adding(3),
    CopyMemory(12),
    Parity(9),
    Parity(9, every_step=False),
    SequentialDigits(),
    SequentialDigits(permuted=True),
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", TASKS)
def test_same_generator_same_sequences(task: Task) -> None:
    first, again, other = (task.batch(7, generator(seed)) for seed in (1, 1, 2))
    assert first.input.shape == (task.seq_len, 7, task.input_size)
    assert first.input.dtype == torch.float32
    assert first.target.shape[-1] == 7
    assert torch.equal(first.input, again.input)
    assert torch.equal(first.target, again.target)
    assert not torch.equal(first.input, other.input)
    output = torch.randn(task.seq_len, 7, task.output_size, requires_grad=True)
    loss = task.loss(output, first.target)
    assert loss.dim() == 0
    loss.backward()  # type: ignore[no-untyped-call]
    assert output.grad is not None
    assert task.score(output, first.target) >= 0.0


def test_adding_marks_one_number_in_each_half() -> None:
    task = Adding(31)
    numbers, marks = task.batch(500, generator()).input.unbind(2)
    assert (marks[:15].sum(0) == 1).all()
    assert (marks[15:].sum(0) == 1).all()
    assert set(marks.flatten().tolist()) == {0.0, 1.0}
    assert (marks.sum(1) > 0).all()
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    target = task.batch(500, generator()).target
    assert torch.allclose(target, (numbers * marks).sum(0))


def test_copy_asks_for_its_symbols_after_the_lag() -> None:
    task = CopyMemory(12)
    shown, target = task.batch(50, generator())
    categories = shown.argmax(2)
    assert (shown.sum(2) == 1).all()
    assert (categories[:10] < 8).all()
    assert (categories[10:21] == 8).all()
    assert (categories[21] == 9).all()
    assert (categories[22:] == 8).all()
    assert (target[:22] == 8).all()
    assert torch.equal(target[22:], categories[:10])
    perfect = 50.0 * torch.nn.functional.one_hot(target, 9).float()
    assert float(task.loss(perfect, target)) < 1e-12
    assert task.score(perfect, target) == 1.0
    perfect[-1, :25] = -perfect[-1, :25]
    assert task.score(perfect, target) == pytest.approx(0.95)


def test_parity_of_the_ones_so_far() -> None:
    shown, target = Parity(9).batch(40, generator())
    assert set(shown.flatten().tolist()) == {-1.0, 1.0}
    assert torch.equal(target, ((shown[..., 0] > 0).cumsum(0) % 2).float())


def test_digits_that_are_held_out_are_never_trained_on() -> None:
    task = SequentialDigits()
    held_out = task.held_out(10_000, generator())
    assert held_out.input.shape[1] == 360
    train = {tuple(row) for row in task.batch(20_000, generator()).input[:, :, 0].T.tolist()}
    assert not train & {tuple(row) for row in held_out.input[:, :, 0].T.tolist()}
    assert float(held_out.input.min()) == 0.0
    assert float(held_out.input.max()) == 1.0
    permuted = SequentialDigits(permuted=True).held_out(360, generator())
    assert torch.equal(permuted.target, held_out.target)
    assert torch.equal(permuted.input.sum(0), held_out.input.sum(0))
    assert not torch.equal(permuted.input, held_out.input)


def best_without_memory(task: Task, target: Tensor, shown: Tensor) -> Tensor:
    """What the best predictor that sees step and input gives."""
    output = torch.zeros(*target.shape[:1], *shown.shape[1:2], task.output_size)
    if isinstance(task, Adding):  # of a marked input, that it is half of the sum
        numbers, marks = shown.unbind(2)
        return torch.where(marks > 0, numbers + 0.5, torch.ones_like(numbers)).unsqueeze(2)
    if isinstance(task, CopyMemory):
        output = torch.full((task.seq_len, shown.shape[1], 9), -100.0)
        output[:-10, :, 8] = 100.0
        output[-10:, :, :8] = 0.0
        return output
    output = torch.zeros(task.seq_len, shown.shape[1], 1)
    output[0] = 100.0 * shown[0]
    return output


@pytest.mark.parametrize("task", TASKS[:5])
def test_the_baseline_is_what_the_best_without_memory_reaches(task: Task) -> None:
    shown, target = task.batch(20_000, generator(3))
    loss = float(task.loss(best_without_memory(task, target, shown), target))
    row = tolerances.OUTPUT["float32"]
    drawn = (
        5 * float((target - 1).square().std()) / 20_000**0.5 if isinstance(task, Adding) else 0.0
    )  # 5 standard errors
    assert loss == pytest.approx(task.baseline, rel=row.rtol, abs=row.atol + drawn)


def test_the_baseline_of_digits_is_the_entropy_that_the_last_pixel_leaves() -> None:
    assert 2.0 < SequentialDigits().baseline < math.log(10)
    values, labels = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 1, 2, 2])
    assert digits._conditional_entropy(values, labels) == pytest.approx(0.5 * math.log(2))


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return there(name, *rest)

    digits._pictures.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"pip install 'throughtime\[tasks\]'"):
        SequentialDigits()


SMALL: dict[str, Any] = {"length": 6, "hidden_size": 4, "steps": 5, "batch_size": 8, "held_out": 20, "evaluations": 2}


def test_an_experiment_is_its_arguments_alone() -> None:
    random = torch.get_rng_state()
    seen: list[int] = []
    one = run(Experiment("adding", "GRU", **SMALL), lambda progress: seen.append(progress.step))
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(9)
    again, other = run(Experiment("adding", "GRU", **SMALL)), run(Experiment("adding", "GRU", **SMALL, seed=1))
    assert one.to_dict() == again.to_dict()
    assert one.flow is not None
    assert again.flow is not None
    assert one.flow.to_dict() == again.flow.to_dict()
    assert one.loss != other.loss
    assert seen == [progress.step for progress in one.history] == [1, 2, 5]
    assert (one.steps, one.diverged, one.baseline, one.metric) == (5, False, Adding(6).baseline, "mean squared error")
    assert one.history[-1].held_out_loss == one.loss == one.score
    assert one.flow.sequences == 16
    assert json.loads(json.dumps(one.to_dict()))["verdict"] == one.flow.verdict


def test_the_sequences_that_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[Tensor] = []

    def evaluating(model: Model, task: Task, batch: Batch) -> tuple[float, float]:
        scored.append(batch.input)
        return evaluate(model, task, batch)

    monkeypatch.setattr(experiment, "evaluate", evaluating)
    asked = Experiment("adding", "RNN", **SMALL, seed=3)
    run(asked)
    found = scored_sequences(asked)
    assert found.input.shape == (6, 20, 2)
    assert torch.equal(scored[-1], found.input)
    assert not torch.equal(found.input, scored_sequences(Experiment("adding", "RNN", **SMALL)).input)


def test_training_learns_stops_and_says_when_it_diverges() -> None:
    learnt = run(Experiment("parity", "GRU", length=3, hidden_size=16, steps=600, learning_rate=0.02, stop_below=0.05))
    assert learnt.steps < 600
    assert learnt.loss < 0.05
    assert learnt.score == 1.0
    wild = {"nonlinearity": "relu"}
    lost = run(
        Experiment(
            "adding", "RNN", length=60, options=wild, optimiser="sgd", learning_rate=5.0, clip_norm=None, steps=50
        )
    )
    assert lost.diverged
    assert lost.steps < 50


def test_what_overflowed_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflowing(*arguments: Any, **keywords: Any) -> None:
        raise OptionError("the state of layer 0 after 3 steps is not finite")

    monkeypatch.setattr(experiment, "measure", overflowing)
    small = Experiment("adding", "RNN", **SMALL)
    with pytest.raises(OptionError):  # no reason is known for it
        run(small)
    monkeypatch.setattr(experiment, "train", lambda *arguments, **keywords: Trained(0, True, ()))
    lost = run(small)
    assert lost.flow is None
    assert lost.to_dict()["verdict"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "sums"}, "task must be one of adding, copy, parity, digits"),
        ({"cell": "lstm"}, "cell must be one of RNN"),
        ({"optimiser": "lbfgs"}, "optimiser must be one of"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"clip_norm": 0.0}, "clip_norm must be a number above 0"),
        ({"seed": -1}, r"seed must be from 0 to 2\^64 - 1, but is -1"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"length": 1}, "length of task adding must be at least 2"),
        ({"task": "copy", "length": 0}, "length of task copy must be at least 1"),
        ({"task": "digits", "length": 9}, "length of task digits must be 64"),
        ({"options": {"colour": 1}}, "RNN does not take these options"),
        ({"options": {"zoneout": 2.0}}, "zoneout"),
        ({"task_options": {"permuted": True}}, "task adding does not take these options"),
    ],
)
def test_refusals(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        run(Experiment(**({"task": "adding", "cell": "RNN"} | arguments)))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--length=6", "--hidden=4", "--steps=3", "--batch-size=8", "--held-out=20", "--clip=none"]
    file = tmp_path / "outcome.json"
    assert (
        main(
            [
                "copy",
                "--cell",
                "LSTM",
                "--init",
                "chrono",
                "--option",
                "peephole=True",
                "--json",
                str(file),
                "--plot",
                str(tmp_path / "flow.png"),
                *small,
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert "verdict: " in said.out
    assert "without memory 0.7998" in said.out  # 10 ln 8 / 26
    assert "step      3: loss" in said.err
    assert (tmp_path / "flow.png").read_bytes()[:4] == (tmp_path / "flow-dark.png").read_bytes()[:4] == b"\x89PNG"
    read = json.loads(file.read_text())
    assert read["experiment"]["options"] == {"peephole": True, "init": ["chrono", 26]}
    assert read["experiment"]["clip_norm"] is None
    assert read["flow"]["verdict"] == read["verdict"]
    for wrong in (["--option", "peephole"], ["--option", "init=1"], ["--json", str(tmp_path / "no" / "file")]):
        assert main(["copy", *small, *wrong]) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("throughtime.flow.tasks: error: ")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--seed", "-1"], "seed must be from 0 to 2^64 - 1, but is -1"),
        (["--plot", "flow.jpg"], "flow.jpg: a picture's name must end in .png, .svg, .pdf"),
    ],
)
def test_the_command_line_refuses_before_it_trains(
    wrong: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("throughtime.flow.tasks.experiment.train", pytest.fail)
    assert main(["copy", *wrong]) == 2
    assert capsys.readouterr().err == f"throughtime.flow.tasks: error: {message}\n"
