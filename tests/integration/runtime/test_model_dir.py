"""The model directory on disk: what is written is read back, and nothing damaged is ever read as a model."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from throughtime.runtime import model_dir
from throughtime.runtime.config_json import FileFacts, dump_config, load_config
from throughtime.runtime.model_dir import check_target, read_model_directory, write_model_directory
from throughtime.spec.errors import ModelError, OutputError, ShapeError, ThroughtimeError

FILES = ("config.json", "history.jsonl", "metrics.json", "model.safetensors", "tokenizer.json", "README.md")
CHECKED = FILES[:-1]


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model_directory(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000
    return message


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_what_is_written_is_read_back(tmp_path: Path, write_model: Any, tokenizer_json: str) -> None:
    config, tensors = write_model(tmp_path / "deep" / "model", ("neg", "pos", "ünï 好"))
    model = read_model_directory(tmp_path / "deep" / "model")
    assert model.config == config
    assert model.tokenizer_json == tokenizer_json
    assert model.metrics == {"validation": {"accuracy": 0.5}}
    assert [row["epoch"] for row in model.history] == [1, 2]
    assert model.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        assert model.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(model.tensors[name], array.astype(np.float32))
    assert names(tmp_path / "deep" / "model") == sorted(FILES)


def test_equal_models_give_equal_bytes_and_a_copy_is_a_model(tmp_path: Path, write_model: Any) -> None:
    write_model(tmp_path / "one")
    write_model(tmp_path / "two")
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    shutil.move(tmp_path / "one", tmp_path / "moved")
    read_model_directory(tmp_path / "moved")


def test_tensors_of_any_memory_layout_are_stored_alike(tmp_path: Path, write_model: Any, tokenizer_json: str) -> None:
    config, tensors = write_model(tmp_path / "one")
    strided = {name: np.asfortranarray(array) for name, array in reversed(tensors.items())}
    write_model_directory(tmp_path / "two", config, strided, tokenizer_json, {}, [], "")
    assert (tmp_path / "one/model.safetensors").read_bytes() == (tmp_path / "two/model.safetensors").read_bytes()


def test_every_flipped_bit_is_seen(model_path: Path) -> None:
    """Every byte of the small files, 150 bytes of the two larger ones."""
    rng = np.random.default_rng(0)
    for name in CHECKED:
        good = (model_path / name).read_bytes()
        few = name in ("model.safetensors", "tokenizer.json")
        for position in rng.choice(len(good), 150, replace=False) if few else range(len(good)):
            bad = bytearray(good)
            bad[position] ^= 1 << int(rng.integers(8))
            (model_path / name).write_bytes(bad)
            with pytest.raises(ModelError, match=name.replace(".", r"\.")):
                read_model_directory(model_path)
        (model_path / name).write_bytes(good)
    read_model_directory(model_path)


@pytest.mark.parametrize("name", CHECKED)
def test_truncated_extended_empty_and_missing_files_are_seen(model_path: Path, name: str) -> None:
    good = (model_path / name).read_bytes()
    for bad in (good[:-1], good[: len(good) // 2], b"", good + b"\n", good + good):
        (model_path / name).write_bytes(bad)
        message = refused(model_path)
        assert name in message
        assert "train again" in message
        assert name == "config.json" or f"has {len(bad)} bytes, but config.json says {len(good)}" in message
    (model_path / name).unlink()
    assert f"{name} is missing: restore it from a copy, or train again" in refused(model_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs the pipes and devices of a POSIX system")
@pytest.mark.parametrize("name", CHECKED)
def test_what_is_no_file_is_not_read(model_path: Path, name: str) -> None:
    file = model_path / name
    file.unlink()
    os.mkfifo(file)
    assert f"{name} is no file, but a folder, pipe or device: restore it" in refused(model_path)
    file.unlink()
    file.symlink_to("/dev/zero")
    assert f"{name} is no file" in refused(model_path)
    file.unlink()
    file.mkdir()
    assert f"{name} is no file" in refused(model_path)


@pytest.mark.parametrize("name", CHECKED)
def test_what_is_too_large_is_not_read(model_path: Path, name: str) -> None:
    with (model_path / name).open("r+b") as file:
        try:
            file.truncate(1 << 42)  # takes no place on the disk
        except OSError:
            pytest.skip("needs a file system with sparse files of 4 TB, which this one does not have")
    assert f"{name} has 4398046511104 bytes, " in refused(model_path)


def test_the_card_may_be_edited_or_removed(model_path: Path) -> None:
    (model_path / "README.md").write_text("mine")
    read_model_directory(model_path)
    (model_path / "README.md").unlink()
    read_model_directory(model_path)


def test_places_without_a_model_say_what_to_give(tmp_path: Path) -> None:
    assert "does not exist: give the folder that `throughtime train" in refused(tmp_path / "nowhere")
    assert "holds no model" in refused(tmp_path)
    (tmp_path / "begun" / ".training").mkdir(parents=True)
    assert "holds an unfinished run and no model yet: end it with the" in refused(tmp_path / "begun")
    (tmp_path / "file").write_text("x")
    assert "is a file, not a model directory" in refused(tmp_path / "file")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t.pop("head.output.bias"), "tensor head.output.bias is missing"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "tensor extra is none of this model's"),
        (lambda t: t.update({"head.output.bias": np.zeros(3, np.float32)}), r"has shape \(3,\), expected \(2,\)"),
        (lambda t: t.update({"head.output.bias": np.zeros(2)}), "is float64, expected float32 or float16"),
        (lambda t: t["head.output.bias"].__setitem__(0, np.nan), "a value that is not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_not_written(
    tmp_path: Path, write_model: Any, tokenizer_json: str, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    config, tensors = write_model(tmp_path / "good")
    change(tensors)
    with pytest.raises(ShapeError, match=complaint):
        write_model_directory(tmp_path / "bad", config, tensors, tokenizer_json, {}, [], "")
    assert not (tmp_path / "bad").exists()


def test_tensors_that_are_not_finite_are_not_read(tmp_path: Path, write_model: Any) -> None:
    """A file that is whole but whose content is useless: its checksums are right."""
    config, tensors = write_model(tmp_path / "model")
    tensors["head.output.bias"][0] = np.inf
    data = save(tensors)
    _, facts = load_config((tmp_path / "model/config.json").read_bytes())
    (tmp_path / "model/model.safetensors").write_bytes(data)
    facts["model.safetensors"] = FileFacts.of(data)
    (tmp_path / "model/config.json").write_bytes(dump_config(config, facts))
    assert "head.output.bias holds a value that is not finite" in refused(tmp_path / "model")


def test_numbers_that_json_lacks_become_null(tmp_path: Path, write_model: Any, tokenizer_json: str) -> None:
    config, tensors = write_model(tmp_path / "one")
    metrics = {"loss": float("nan"), "count": np.int64(3), "curve": np.array([0.5, np.inf], np.float32)}
    write_model_directory(tmp_path / "two", config, tensors, tokenizer_json, metrics, [metrics], "")
    model = read_model_directory(tmp_path / "two")
    assert model.metrics == {"loss": None, "count": 3, "curve": [0.5, None]}
    assert model.history == [model.metrics]


def test_a_model_is_replaced_only_with_force(model_path: Path, write_model: Any) -> None:
    before = {name: (model_path / name).read_bytes() for name in FILES}
    (model_path / ".training").mkdir()
    with pytest.raises(OutputError, match="holds a model already: choose another folder, or replace it with --force"):
        write_model(model_path, seed=1)
    assert {name: (model_path / name).read_bytes() for name in FILES} == before
    write_model(model_path, seed=1, force=True)
    assert read_model_directory(model_path).config.training == {"seed": 1}
    assert names(model_path) == sorted([*FILES, ".training"])


def test_scratch_files_of_training_stay_or_go_as_asked(tmp_path: Path, write_model: Any, tokenizer_json: str) -> None:
    config, tensors = write_model(tmp_path / "other")
    scratch = tmp_path / "model/.training/deep"
    scratch.mkdir(parents=True)
    check_target(tmp_path / "model")
    write_model_directory(tmp_path / "model", config, tensors, tokenizer_json, {}, [], "")
    assert scratch.is_dir()
    write_model_directory(
        tmp_path / "model", config, tensors, tokenizer_json, {}, [], "", force=True, keep_scratch=False
    )
    assert not scratch.parent.exists()
    read_model_directory(tmp_path / "model")


def test_a_file_of_someone_else_is_not_overwritten(tmp_path: Path, write_model: Any) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputError, match=r"holds a README\.md already"):
        write_model(tmp_path)
    assert names(tmp_path) == ["README.md"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"mine": 1}')
    with pytest.raises(OutputError, match=r"holds a config\.json already"):
        write_model(tmp_path / "other")
    assert "holds no model" in refused(tmp_path / "other")
    with pytest.raises(OutputError, match="it is a file"):
        write_model(tmp_path / "README.md")
    with pytest.raises(OutputError, match="a part of the path is a file"):
        write_model(tmp_path / "README.md" / "model")


class Killed(BaseException):
    """Stands for the end of the process: no handler of the program sees it do anything but fly past."""


@pytest.mark.parametrize("existing", [True, False])
def test_a_writer_killed_at_any_step_leaves_the_old_model_or_the_new(
    tmp_path: Path, write_model: Any, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    steps: list[str] = []
    die_at = 0

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **keywords: Any) -> Any:
            if len(steps) == die_at:
                raise Killed
            steps.append(name)
            return real(*arguments, **keywords)

        return step

    for owner, name in ((os, "fsync"), (Path, "mkdir"), (Path, "rename"), (Path, "replace"), (Path, "rmdir")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    # A killed process cleans nothing up.
    monkeypatch.setattr(shutil, "rmtree", counted("rmtree", lambda *_, **__: None))

    seen = set()
    finished = False
    while not finished:
        path = tmp_path / f"model{die_at}"
        limit, die_at = die_at, -1
        if existing:
            write_model(path, seed=0)
        steps.clear()
        die_at = limit
        try:
            write_model(path, seed=1, force=True)
            finished = True
        except Killed:
            pass
        die_at = -1
        try:
            seen.add(read_model_directory(path).config.training["seed"])
        except ModelError as error:
            assert not existing, steps
            assert "holds no model" in str(error) or "does not exist" in str(error)
        write_model(path, seed=2, force=True)  # the next writer is not stopped by what lies there
        assert read_model_directory(path).config.training["seed"] == 2
        assert not (path / ".complete").exists()
        die_at = limit + 1
    assert seen == ({0, 1} if existing else {1})
    assert die_at > 15


def test_a_reader_meets_a_writer(tmp_path: Path, write_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is replaced when the reader has its config.json, and not yet its tensors."""
    path = tmp_path / "model"
    write_model(path)
    read = model_dir._read
    replaced, times = 0, 3

    def slow(directory: Path, name: str, size: int | None = None) -> bytes:
        nonlocal replaced
        data = read(directory, name, size)
        if name == "config.json" and replaced < times:
            replaced += 1
            write_model(path, seed=replaced, force=True)
        return data

    monkeypatch.setattr(model_dir, "_read", slow)
    assert read_model_directory(path).config.training == {"seed": 3}
    times = 1000
    assert "replaced each time while it was read: wait until nobody writes there" in refused(path)


def test_a_file_of_someone_else_among_those_that_move_up_stops_no_writer(model_path: Path, write_model: Any) -> None:
    """A file manager looked into the folder of a killed writer."""
    (model_path / ".complete").mkdir()
    (model_path / ".complete" / ".DS_Store").write_text("x")
    read_model_directory(model_path)
    write_model(model_path, seed=1, force=True)
    assert read_model_directory(model_path).config.training == {"seed": 1}
    assert names(model_path) == sorted(FILES)


@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, write_model: Any, monkeypatch: pytest.MonkeyPatch, existing: bool
) -> None:
    path = tmp_path / "model"
    if existing:
        write_model(path)
    written = []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"cannot write .*model: the disk is full: make room"):
        write_model(path, seed=1, force=True)
    monkeypatch.undo()
    if existing:
        assert read_model_directory(path).config.training == {"seed": 0}
        assert names(path) == sorted(FILES)
    else:
        assert not path.exists()


def test_every_refusal_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ThroughtimeError):
        read_model_directory(tmp_path / ("long" * 100))
