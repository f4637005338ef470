"""Reproducible and resumable: the same bytes again, from whatever moment a run was cut off at."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from throughtime.runtime.model_dir import holds_model, read_model_directory
from throughtime.spec.errors import ConfigError, OutputError
from throughtime.text.config import TrainConfig
from throughtime.text.request import TrainRequest
from throughtime.text.training import callbacks, rounds
from throughtime.text.training.flow_watch import FlowWatch
from throughtime.text.training.reporter import EpochRecord, Silent
from throughtime.text.training.run import train

Make = Callable[..., TrainRequest]
MakeConfig = Callable[..., TrainConfig]


class PowerCut(BaseException):
    """Ends a run as a power cut would: nothing in the package catches it."""


class CutAt(Silent):
    """Cuts the run off once `step` steps are done, or once epoch `epoch` is recorded."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.at_step = step
        self.at_epoch = epoch
        self.first_step: int | None = None

    def start(self, summary: str, epochs: int, steps: int, first_step: int) -> None:
        self.first_step = first_step

    def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
        if step == self.at_step:
            raise PowerCut

    def epoch(self, record: EpochRecord, best: bool) -> None:
        if record.epoch == self.at_epoch:
            raise PowerCut


def weights(request: TrainRequest) -> bytes:
    return (request.out / "model.safetensors").read_bytes()


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds of 4 steps, each saved: a small run then has as many places to be cut off at as a long one."""
    monkeypatch.setattr(rounds, "STEPS_A_ROUND", 4)
    monkeypatch.setattr(callbacks, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(callbacks, "SAVE_EPOCHS_EVERY_SECONDS", 0.0)


def test_same_seed_same_bytes_other_seed_other_bytes(request_for: Make, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        request = request_for(out=tmp_path / name, seed=seed)
        train(request, Silent())
        made.append(weights(request))
    assert made[0] == made[1]
    assert made[0] != made[2]


@pytest.mark.parametrize("step", [1, 5, 12, 13, 23, 30, 36])
def test_a_run_cut_off_at_any_step_resumes_to_the_same_bytes(step: int, request_for: Make, tmp_path: Path) -> None:
    whole, cut = request_for(out=tmp_path / "whole"), request_for(out=tmp_path / "cut")
    train(whole, Silent())
    with pytest.raises(PowerCut):
        train(cut, CutAt(step))
    assert not (cut.out / "config.json").exists()
    reporter = CutAt()
    train(replace(cut, resume=True), reporter)
    assert weights(cut) == weights(whole)
    assert reporter.first_step is not None
    assert step - 4 - 1 <= reporter.first_step < step or step <= 4
    assert _without_clock(cut) == _without_clock(whole)


def _without_clock(request: TrainRequest) -> list[dict[str, object]]:
    clock = {"seconds", "tokens_per_second", "peak_memory_mb"}
    return [{k: v for k, v in row.items() if k not in clock} for row in read_model_directory(request.out).history]


class Warned(CutAt):
    """Keeps what it is warned of."""

    def __init__(self, said: list[str], step: int | None = None) -> None:
        super().__init__(step)
        self.said = said

    def warn(self, message: str) -> None:
        self.said.append(message)


def test_a_resumed_run_warns_of_what_begins_after_it_was_cut_off(
    request_for: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch's gradients pass; the run is cut off in the second, whose gradients vanish."""
    measured: list[float] = []

    def measure(_self: FlowWatch, _model: object) -> dict[str, dict[str, float | None]]:
        norm = 1.0 if not measured else 1e-9
        measured.append(norm)
        return {"layer 0, forward": {"norm": norm, "highest": 1.0, "memory": None}}

    monkeypatch.setattr(callbacks, "TOKENS_PER_WATCH", 1)
    monkeypatch.setattr(FlowWatch, "measure", measure)
    whole: list[str] = []
    train(request_for(out=tmp_path / "whole"), Warned(whole))
    assert sum("now vanish" in message for message in whole) == 1
    assert measured[:2] == [1.0, 1e-9]

    measured.clear()
    resumed: list[str] = []
    cut = request_for(out=tmp_path / "cut")
    with pytest.raises(PowerCut):
        train(cut, Warned(resumed, step=17))
    assert measured == [1.0]
    train(replace(cut, resume=True), Warned(resumed))
    assert [m for m in resumed if "now" in m] == [m for m in whole if "now" in m]
    assert _without_clock(cut) == _without_clock(replace(cut, out=tmp_path / "whole"))


def test_cut_off_again_and_again(request_for: Make, tmp_path: Path) -> None:
    whole, cut = request_for(out=tmp_path / "whole"), request_for(out=tmp_path / "cut")
    train(whole, Silent())
    for place, reporter in enumerate([CutAt(6), CutAt(epoch=1), CutAt(21), CutAt(epoch=2), CutAt(33), CutAt(epoch=3)]):
        with pytest.raises(PowerCut):
            train(replace(cut, resume=place > 0), reporter)
    train(replace(cut, resume=True), Silent())
    assert weights(cut) == weights(whole)


def test_ctrl_c_is_python_s_own_and_resumes(request_for: Make, tmp_path: Path) -> None:
    class CtrlC(Silent):
        def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
            if step == 14:
                raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    whole, cut = request_for(out=tmp_path / "whole"), request_for(out=tmp_path / "cut")
    train(whole, Silent())
    with pytest.raises(KeyboardInterrupt):
        train(cut, CtrlC())
    assert signal.getsignal(signal.SIGINT) is handler
    train(replace(cut, resume=True), Silent())
    assert weights(cut) == weights(whole)


def test_early_stopping_is_remembered(request_for: Make, config: MakeConfig, tmp_path: Path) -> None:
    flat = config(optimiser={"learning_rate": 1e-9}, training={"epochs": 9, "patience": 1})
    whole = request_for(out=tmp_path / "whole", config=flat)
    train(whole, Silent())
    last = len(read_model_directory(whole.out).history)
    assert last < 9
    cut = request_for(out=tmp_path / "cut", config=flat)
    with pytest.raises(PowerCut):
        train(cut, CutAt(epoch=last))
    train(replace(cut, resume=True), Silent())
    assert weights(cut) == weights(whole)


def test_killed_for_real(request_for: Make, reviews: Path, tmp_path: Path) -> None:
    """kill -9 at the process itself, as soon as it has saved a state, and again a little later."""
    command = [sys.executable, "-m", "throughtime", "train", str(reviews), "--out", str(tmp_path / "cut")]
    settings = ["training.epochs=400", "training.max_steps=1500", "training.batch_size=8", "preprocessing.min_count=1"]
    settings += ["encoder.embedding_init=random", "encoder.embedding_size=8", "encoder.hidden_size=[6]"]
    command += [argument for setting in settings for argument in ("--set", setting)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for attempt in range(3):
        state = tmp_path / "cut" / ".training" / "state.ckpt"
        before = state.stat().st_mtime_ns if state.exists() else None
        resume = ["--resume"] if attempt else []
        process = subprocess.Popen(command + resume, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while process.poll() is None and not (state.exists() and state.stat().st_mtime_ns != before):
            time.sleep(0.01)
        time.sleep(0.05 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        assert process.returncode == -signal.SIGKILL, process.stderr.read().decode()
        process.stderr.close()
    subprocess.run([*command, "--resume"], env=environment, check=True, capture_output=True)
    whole = [str(tmp_path / "whole") if argument == str(tmp_path / "cut") else argument for argument in command]
    subprocess.run(whole, env=environment, check=True, capture_output=True)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_resuming_a_finished_run_changes_nothing(request_for: Make) -> None:
    request = request_for()
    train(request, Silent())
    before = weights(request)
    result = train(replace(request, resume=True), Silent())
    assert result.history is None
    assert weights(request) == before


@pytest.mark.parametrize("left", [(), (".training",), (".training", "force")])
def test_resume_without_a_run_starts_one(left: tuple[str, ...], request_for: Make) -> None:
    """Also where a run was killed after it had made its folder, before anything in it could be resumed."""

    class Warned(Silent):
        def __init__(self) -> None:
            self.said: list[str] = []

        def warn(self, message: str) -> None:
            self.said.append(message)

    request, reporter = request_for(resume=True), Warned()
    if "force" in left:
        train(request_for(seed=1), Silent())
    if left:
        (request.out / ".training").mkdir(parents=True)
        request.out.joinpath(*left).touch()
    assert train(request, reporter).history
    assert reporter.said[-1] == f"{request.out} holds no run to resume; this one starts at the beginning"
    assert not (request.out / ".training").exists()


@pytest.fixture
def interrupted(request_for: Make) -> TrainRequest:
    request = request_for()
    with pytest.raises(PowerCut):
        train(request, CutAt(9))
    return request


def test_an_unfinished_run_is_not_overwritten_by_accident(interrupted: TrainRequest) -> None:
    with pytest.raises(OutputError, match=r"unfinished run; continue it with --resume, or start over with --force"):
        train(interrupted, Silent())
    train(replace(interrupted, force=True), Silent())
    assert weights(interrupted)


@pytest.mark.parametrize(("resume", "force"), [(False, False), (True, False), (False, True)])
def test_a_folder_that_another_run_is_at_work_in_is_left_to_it(
    resume: bool, force: bool, request_for: Make, tmp_path: Path
) -> None:
    class Meddled(Silent):
        def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
            if step == 14:
                with pytest.raises(OutputError, match=r"another run trains into .*cut right now: wait for its end"):
                    train(replace(cut, resume=resume, force=force), Silent())

    whole, cut = request_for(out=tmp_path / "whole"), request_for(out=tmp_path / "cut")
    train(whole, Silent())
    train(cut, Meddled())
    assert weights(cut) == weights(whole)
    assert train(replace(cut, force=True), Silent()).history  # the folder is free again


def test_a_run_that_ended_first_keeps_its_model(request_for: Make) -> None:
    """Two runs begin at once: neither finds the other's folder before it has read its data."""

    class Overtaken(Silent):
        def stage(self, *_: object) -> None:
            if not holds_model(request.out):
                train(request, Silent())
                first.append(weights(request))

    request, first = request_for(), list[bytes]()
    with pytest.raises(OutputError, match="holds a model already"):
        train(request, Overtaken())
    assert [weights(request)] == first
    assert not (request.out / ".training").exists()


def test_resume_refuses_a_changed_configuration(interrupted: TrainRequest, config: MakeConfig) -> None:
    changed = replace(interrupted, resume=True, config=config(optimiser={"learning_rate": 0.5}))
    with pytest.raises(ConfigError, match=r"optimiser\.learning_rate was 0\.02 and is 0\.5"):
        train(changed, Silent())


def test_a_changed_description_is_no_other_run(interrupted: TrainRequest) -> None:
    described = interrupted.config.model_copy(update={"description": "in other words"})
    run = interrupted.out / ".training" / "run.json"  # earlier versions wrote the description down
    run.write_text(run.read_text().replace('"config": {', '"config": {"description": "a run",'))
    resumed = CutAt()
    train(replace(interrupted, resume=True, config=described), resumed)
    assert resumed.first_step
    before = weights(interrupted)
    assert train(replace(interrupted, resume=True), Silent()).history is None
    assert weights(interrupted) == before


def test_resume_refuses_changed_data(interrupted: TrainRequest, reviews: Path) -> None:
    reviews.write_text(reviews.read_text() + "one more row,pos,movie 99\n")
    with pytest.raises(ConfigError, match="changed data"):
        train(replace(interrupted, resume=True), Silent())


def test_resume_refuses_changed_vectors(request_for: Make, config: MakeConfig, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("film 1 2 3 4 5 6 7 8\n")
    request = request_for(config=config(encoder={"embedding_init": "vectors", "vectors": str(vectors)}))
    train(request, Silent())
    again = replace(request, resume=True)
    assert train(again, Silent()).history is None
    vectors.write_text("film 8 7 6 5 4 3 2 1\n")
    with pytest.raises(ConfigError, match="finished model of other data"):
        train(again, Silent())


def test_resume_refuses_another_seed(interrupted: TrainRequest) -> None:
    with pytest.raises(ConfigError, match="seed: it was 0 and is 1"):
        train(replace(interrupted, resume=True, seed=1), Silent())


def test_resume_refuses_a_finished_model_of_another_run(request_for: Make) -> None:
    request = request_for()
    train(request, Silent())
    with pytest.raises(ConfigError, match="finished model of other data, configuration or seed"):
        train(replace(request, resume=True, seed=1), Silent())


@pytest.mark.parametrize("damaged", [False, True])
def test_a_run_that_is_to_replace_a_model_resumes_too(request_for: Make, tmp_path: Path, damaged: bool) -> None:
    whole = request_for(out=tmp_path / "whole")
    train(whole, Silent())
    train(request_for(seed=1), Silent())
    forced = request_for(force=True)
    old = weights(forced)
    if damaged:
        (forced.out / "model.safetensors").write_bytes(old[:-1])
        old = old[:-1]
    with pytest.raises(PowerCut):
        train(forced, CutAt(9))
    assert weights(forced) == old
    reporter = CutAt()
    train(replace(forced, force=False, resume=True), reporter)
    assert reporter.first_step
    assert weights(forced) == weights(whole)
    assert not (forced.out / ".training").exists()


def test_resume_refuses_a_taken_place_before_any_work(request_for: Make) -> None:
    request = request_for(resume=True, data="does-not-exist.csv")
    request.out.mkdir()
    (request.out / "README.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds a README\.md already"):
        train(request, Silent())


@pytest.mark.parametrize(
    ("seconds", "rounds_saved"), [(0.03, [1, 9]), (0.1, [1, 6, 9]), (6.0, [1, 2, 3, 4, 5, 6, 7, 8, 9])]
)
def test_states_are_saved_so_many_seconds_apart(
    seconds: float, rounds_saved: list[int], request_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, so that a place which cannot hold one is known early."""
    clock: list[float] = [0.0]
    saved: list[float] = []
    monkeypatch.setattr(callbacks, "SAVE_EVERY_SECONDS", 20.0)
    monkeypatch.setattr(callbacks, "SAVE_EPOCHS_EVERY_SECONDS", 1.0)
    save = callbacks.WholeFiles.save_checkpoint

    def counted(self: callbacks.WholeFiles, *arguments: Any, **options: Any) -> None:
        saved.append(clock[0])
        save(self, *arguments, **options)

    class Ticking(Silent):
        def step(self, epoch: int, step: int, loss: float, tokens_per_second: float) -> None:
            clock[0] += seconds

    monkeypatch.setattr(callbacks.WholeFiles, "save_checkpoint", counted)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    train(request_for(), Ticking())
    assert clock[0] == pytest.approx(36 * seconds)  # 3 epochs of 3 rounds of 4 steps
    assert saved == pytest.approx([4 * seconds * number for number in rounds_saved])


def test_a_model_that_could_not_be_written_is_written_without_training_again(
    request_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "SAVE_EVERY_SECONDS", 1e9)
    monkeypatch.setattr(callbacks, "SAVE_EPOCHS_EVERY_SECONDS", 1e9)
    request, reporter = request_for(), CutAt()

    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("throughtime.text.training.run.write_model_directory", full)
        with pytest.raises(OutputError, match="then --resume writes the model without training again"):
            train(request, Silent())
    train(replace(request, resume=True), reporter)
    assert reporter.first_step == 36
    assert (request.out / "config.json").exists()
