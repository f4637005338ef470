"""Bad configurations, places and runs to go on with: one line that says what, where and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("training:\n  epochs: 3\n bad: [\n", ["c.yaml, line 3: not valid YAML", "correct this line"]),
        ("training:\n\tepochs: 3\n", ["c.yaml, line 2: not valid YAML"]),
        ("training:\n  epochs: !!int x\n", ["c.yaml: not valid YAML (invalid literal", "correct this value"]),
        ("description: 2020-99-99\n", ["c.yaml: not valid YAML (month must be in 1..12)"]),
        ("[" * 3000, ["c.yaml: not valid YAML (brackets nested too deeply)"]),
        ("a: \0\n", ["c.yaml: not valid YAML (unacceptable character #x0000"]),
        (b"description: caf\xe9\n", ["c.yaml: cannot be read as a configuration", "give a UTF-8 YAML file"]),
        ("- training\n", ["c.yaml: expected sections such as `training:`, found list"]),
        ("training: 3\n", ["c.yaml: training: should be a section of keys", "but is 3"]),
        ("1: 2\n", ["c.yaml: 1: Keys should be strings"]),
        ("trainign: {}\n", ["c.yaml: trainign: there is no such key (did you mean training?", "recipe show default"]),
        ("training: {epoch: 3}\n", ["c.yaml: training.epoch: there is no such key", "recipe show default"]),
        ("training: {epochs: many}\n", ["c.yaml: training.epochs: should be an integer", "but is 'many'"]),
        ("training: {epochs: 0}\n", ["c.yaml: training.epochs: should be greater than or equal to 1, but is 0"]),
        ("encoder: {cell: QRNN}\n", ["c.yaml: encoder.cell: should be 'RNN', 'GRU' or 'LSTM', but is 'QRNN'"]),
        (None, ["c.yaml: there is no such file", "throughtime recipe show default > "]),
    ],
)
def test_a_bad_configuration_file(
    content: str | bytes | None, parts: list[str], train: Run, data: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = left(tmp_path)
    message = train(data, "--config", tmp_path / "c.yaml", recipe=True).refusal()
    for part in parts:
        assert part in message
    assert left(tmp_path) == before


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("training.epochs", ["--set training.epochs: expected section.key=value, as in --set training.epochs=3"]),
        ("=3", ["--set =3: expected section.key=value"]),
        ("training.epochs=many", ["training.epochs: should be an integer", "but is 'many'"]),
        (
            "training.epoch=3",
            ["training.epoch: there is no such key (did you mean training.epochs?", "recipe show default"],
        ),
        ("epochs=3", ["epochs: there is no such key (did you mean training.epochs?"]),
        ("encoder.clip=3", ["encoder.clip: there is no such key (did you mean optimiser.clip_norm?"]),
        ("xyzzy=3", ["xyzzy: there is no such key (`throughtime recipe show"]),
        ("max_steps=3", ["max_steps: there is no such key (did you mean training.max_steps?"]),
        ("regularisation.segment=3", ["(did you mean encoder.segment?"]),
        ("optimiser.betas=[0.9]", ["optimiser.betas: should have more entries, but is [0.9]"]),
        ("optimiser.betas=[0.9,0.9,0.9]", ["optimiser.betas: should have fewer entries, but is [0.9, 0.9, 0.9]"]),
        ("encoder.hidden_size=[]", ["encoder.hidden_size: should have at least one entry, but is []"]),
        ("training.epochs.x=3", ["training.epochs.x is not a key", "recipe show default"]),
        ("training.epochs=[", ["--set training.epochs=[: '[' is not a YAML value"]),
        (
            "description=2020-99-99",
            ["--set description=2020-99-99: '2020-99-99' is not a YAML value", "between quotes"],
        ),
        ("encoder.vectors=x", ["x: there is no such file", "give a file of word vectors"]),
        ("encoder.embedding_init=vectors", ["encoder.vectors: this configuration starts", "give --vectors FILE"]),
    ],
)
def test_a_bad_setting(setting: str, parts: list[str], train: Run, data: Path) -> None:
    message = train(data, "--set", setting, recipe=True).refusal()
    for part in parts:
        assert part in message
    assert left(data.parent) == ["data.csv"]


def test_other_bad_options(train: Run, data: Path) -> None:
    message = train(data, "--recipe", "best", recipe=True).refusal()
    assert message.startswith("there is no recipe 'best'; choose one of default, ")
    (data.parent / "c.yaml").touch()
    message = train(data, "--recipe", "fast", "--config", data.parent / "c.yaml", recipe=True).refusal()
    assert message.endswith("takes the place of a recipe: leave out --recipe fast, or --config")
    (data.parent / "c.yaml").unlink()
    assert "--download is for DATA imdb" in train(data, "--download").refusal()
    assert "'--seed'" in train(data, "--seed", "-1").refusal()
    assert left(data.parent) == ["data.csv"]


def test_a_run_that_cannot_succeed_leaves_nothing(train: Run, data: Path) -> None:
    message = train(data, "--set", "optimiser.learning_rate=1e38").refusal_after_progress()
    assert "lower optimiser.learning_rate" in message
    assert left(data.parent) == ["data.csv"]


class TestOut:
    """Places for a model; all are refused before a byte of the data is read."""

    def test_a_model_is_there(self, train: Run, data: Path, trained: Path, tmp_path: Path) -> None:
        shutil.copytree(trained, tmp_path / "model")
        before = {path: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        message = train(data, "--set", "training.epochs=1").refusal()
        assert message.endswith(
            "model holds a model already: choose another folder, or replace it with --force (in Python, force=True)"
        )
        assert {path: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
        assert train(data, "--set", "training.epochs=1", "--force").code == 0
        assert {path: path.read_bytes() for path in (tmp_path / "model").iterdir()} != before

    def test_a_failure_with_force_keeps_the_old_model(
        self, train: Run, data: Path, trained: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(trained, tmp_path / "model")
        before = {path: path.read_bytes() for path in (tmp_path / "model").iterdir()}
        train(data, "--force", "--vectors", tmp_path / "none.txt", "--set", "encoder.embedding_init=vectors")\
            .refusal_after_progress()  # fmt: skip
        assert {path: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before

    def test_a_file_is_there_or_on_the_way(self, train: Run, data: Path) -> None:
        message = train("none.csv", out=data).refusal()
        assert message.endswith("data.csv: it is a file; name a folder that is new or empty")
        message = train("none.csv", out=data / "model").refusal()
        assert message.endswith("model: a part of the path is a file, not a folder: choose another place")

    def test_no_permission(self, train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.access", lambda path, mode: False)
        message = train("none.csv", out=tmp_path / "a" / "model").refusal()
        assert message.endswith("model: permission denied: choose a place that you may write to")

    def test_a_name_that_is_too_long(self, train: Run, tmp_path: Path) -> None:
        assert "the name is too long: choose a shorter one" in train("none.csv", out=tmp_path / ("x" * 300)).refusal()


@pytest.fixture
def interrupted(train: Run, data: Path, tmp_path: Path) -> list[str]:
    """A run of two epochs that stops after the first; gives what it left."""
    from throughtime.text.training.callbacks import EpochEnd

    with pytest.MonkeyPatch.context() as patch:
        happened = EpochEnd.on_train_epoch_end

        def stop(self: EpochEnd, trainer: Any, module: Any) -> None:
            if self.history:
                raise KeyboardInterrupt
            happened(self, trainer, module)

        patch.setattr(EpochEnd, "on_train_epoch_end", stop)
        result = train(data)
    assert result.code == 130
    assert "the same command with --resume goes on" in result.err
    files = left(tmp_path)
    assert files == ["data.csv", "model", "model/.training", "model/.training/run.json", "model/.training/state.ckpt"]
    return files


def test_stopped_before_there_is_a_state_nothing_is_promised(
    train: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("throughtime.text.training.run.corpus_of", stopped)
    result = train(data)
    assert result.code == 130
    assert "--resume" not in result.err
    assert left(data.parent) == ["data.csv"]


class TestResume:
    """What `--resume` refuses, leaving the run as it is."""

    def test_unchanged_it_goes_on(self, interrupted: list[str], train: Run, data: Path) -> None:
        result = train(data, "--resume")
        assert result.code == 0, result.err
        assert "resuming at step" in result.err

    def test_neither_resume_nor_force(self, interrupted: list[str], train: Run, data: Path) -> None:
        message = train(data).refusal()
        assert message.endswith("unfinished run; continue it with --resume, or start over with --force")
        assert "give one of the two" in train(data, "--resume", "--force").refusal()
        assert left(data.parent) == interrupted

    def test_changed_configuration(self, interrupted: list[str], train: Run, data: Path) -> None:
        message = train(data, "--resume", "--set", "optimiser.learning_rate=0.5").refusal_after_progress()
        assert "a changed configuration: optimiser.learning_rate was 0.002 and is 0.5; undo the change" in message
        assert "start over with --force" in message
        message = train(data, "--resume", "--seed", "3").refusal_after_progress()
        assert "another seed: it was 0 and is 3" in message
        assert left(data.parent) == interrupted

    def test_changed_data(self, interrupted: list[str], train: Run, data: Path) -> None:
        data.write_text(data.read_text().replace("good", "fine"))
        message = train(data, "--resume").refusal_after_progress()
        assert "changed data: the files or columns are not those that the run was started with" in message
        assert left(data.parent) == interrupted

    @pytest.mark.parametrize("damage", ["empty", "cut", "other"])
    def test_damaged_state(self, damage: str, interrupted: list[str], train: Run, data: Path) -> None:
        state = data.parent / "model" / ".training" / "state.ckpt"
        content = state.read_bytes()
        state.write_bytes({"empty": b"", "cut": content[: len(content) // 2], "other": b"no state" * 99}[damage])
        message = train(data, "--resume").refusal_after_progress()
        assert "state.ckpt: the saved state is damaged and cannot be resumed; start over with --force" in message
        assert left(data.parent) == interrupted
        (state.parent / "run.json").write_text("{")
        assert "run.json: cannot be resumed" in train(data, "--resume").refusal_after_progress()
        assert train(data, "--force").code == 0

    def test_a_finished_model_of_another_run(self, train: Run, data: Path) -> None:
        assert train(data).code == 0
        message = train(data, "--resume", "--seed", "1").refusal_after_progress()
        assert "--resume, but a finished model of other data, configuration or seed is there" in message


MODEL_FILES = ["config.json", "model.safetensors", "tokenizer.json", "metrics.json", "history.jsonl"]


class TestDamagedModel:
    """Both commands that read a model refuse one that is not whole, and name the file."""

    @pytest.fixture
    def model(self, trained: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(trained, tmp_path / "copy"))

    def refused(self, run: Run, model: Path, data: Path) -> str:
        messages = {run("predict", model, "good film").refusal(), run("evaluate", model, data).refusal()}
        assert len(messages) == 1
        return str(messages.pop())

    @pytest.mark.parametrize("name", MODEL_FILES)
    def test_missing_or_cut_off(self, name: str, run: Run, model: Path, data: Path) -> None:
        content = (model / name).read_bytes()
        for kept in (0, 1, len(content) // 2, len(content) - 1):
            (model / name).write_bytes(content[:kept])
            message = self.refused(run, model, data)
            assert message.startswith(f"model directory {model}: {name} ")
            assert "restore it from a copy, or train again" in message
        (model / name).unlink()
        assert f"{name} is missing: restore it from a copy, or train again" in self.refused(run, model, data)

    @pytest.mark.parametrize("name", MODEL_FILES)
    def test_a_flipped_bit(self, name: str, run: Run, model: Path, data: Path) -> None:
        content = (model / name).read_bytes()
        for place in range(0, len(content), max(1, len(content) // 25)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << (place % 8)
            (model / name).write_bytes(flipped)
            assert f"{model}: {name} " in run("predict", model, "good film").refusal()
        assert f"{model}: {name} " in self.refused(run, model, data)

    def test_a_newer_schema(self, run: Run, model: Path, data: Path) -> None:
        config = json.loads((model / "config.json").read_text())
        config["schema_version"] += 1
        (model / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        message = self.refused(run, model, data)
        assert f"config.json has schema version {config['schema_version']}, but this throughtime reads up to" in message
        assert "pip install --upgrade throughtime" in message

    def test_no_model_at_all(self, run: Run, data: Path, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        assert "folder holds no model: give the folder that" in self.refused(run, tmp_path / "folder", data)
        assert "nowhere does not exist: give the folder" in self.refused(run, tmp_path / "nowhere", data)
        assert "data.csv is a file, not a model directory" in self.refused(run, data, data)
