"""The model directory: the border between training (torch) and use (no torch).

`config.json` · `model.safetensors` · `tokenizer.json` · `metrics.json` · `history.jsonl` · `README.md`. No pickle:
reading runs nothing. config.json carries size and SHA-256 of the other files (less README.md, which people may edit).

A model is replaced as a whole: its files are written to a folder `.writing-…` in the directory, that folder is renamed
to `.complete` (the one moment at which the new model takes the place of the old), and its files are then moved up, one
by one. A reader takes each file from `.complete` if it still lies there, and begins again if the model was replaced
while it read. So a process that is killed at any moment leaves the old model or the new one.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from throughtime.runtime.atomic import output_error, sync_directory
from throughtime.runtime.config_json import FileFacts, dump_config, load_config, to_plain
from throughtime.spec.errors import ModelError, OutputError, ShapeError
from throughtime.spec.model import ModelConfig, model_parameter_shapes

CONFIG: Final = "config.json"
TENSORS: Final = "model.safetensors"
TOKENIZER: Final = "tokenizer.json"
METRICS: Final = "metrics.json"
HISTORY: Final = "history.jsonl"
CARD: Final = "README.md"
SCRATCH: Final = ".training"
"""Where a training run keeps its checkpoints; no part of the model."""

_CHECKED: Final = (TENSORS, TOKENIZER, METRICS, HISTORY)
_FILES: Final = (*_CHECKED, CARD, CONFIG)
_COMPLETE: Final = ".complete"
_WRITING: Final = ".writing-"
_REMEDY: Final = "restore it from a copy, or train again with --force"
_LARGEST_CONFIG: Final = 1 << 25
"""Bytes of config.json: a hundred times those of a model of a thousand classes."""
_ATTEMPTS: Final = 10
"""How often a reader begins again when the model was replaced meanwhile."""


@dataclass(frozen=True)
class ModelDirectory:
    """What a model directory holds. tensors: name → float32 array, names and shapes as in `spec.model.ModelConfig`."""

    config: ModelConfig
    tensors: dict[str, NDArray[np.float32]]
    tokenizer_json: str
    metrics: dict[str, Any]
    history: list[dict[str, Any]]


def holds_model(path: Path | str) -> bool:
    """Whether a file of a model lies there (a model, whole or damaged); another program's config.json is none."""
    directory = Path(path)
    return any((directory / place).exists() for place in (TENSORS, _COMPLETE)) or _is_ours(directory / CONFIG)


def _is_ours(config: Path) -> bool:
    """Whether the file begins as a model's does; an empty or unreadable one may have been a model's."""
    if not config.is_file():
        return False
    try:
        with config.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return True
    return not head or b'"schema_version"' in head


def check_target(path: Path | str, *, force: bool = False) -> None:
    """Whether a model may be written to `path`: to be asked before a long training, and asked again by the writer.

    Raises:
        OutputError: a file stands there or on the way to it; it may not be written to; or, where force is false, a
            model or a file named like one of a model's is there.
    """
    directory = Path(path)
    try:
        is_file = directory.exists() and not directory.is_dir()
        is_model = holds_model(directory)
        taken = [name for name in _FILES if (directory / name).exists()]
        nearest = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.exists())
        if not is_file and not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not is_file and not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise output_error(error, path) from error
    if is_file:
        raise OutputError(f"cannot write a model to {path}: it is a file; name a folder that is new or empty")
    if is_model and not force:
        raise OutputError(
            f"{path} holds a model already: choose another folder, or replace it with --force (in Python, force=True)"
        )
    if taken and not force:
        raise OutputError(
            f"{path} holds a {taken[0]} already: choose a folder that is new or empty, or replace it with --force (in "
            "Python, force=True)"
        )


def write_model_directory(
    path: Path | str,
    config: ModelConfig,
    tensors: Mapping[str, NDArray[Any]],
    tokenizer_json: str,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    card: str,
    *,
    force: bool = False,
    keep_scratch: bool = True,
) -> None:
    """Write a model directory, or put a new model in place of the one that is there, as a whole.

    Equal tensors give byte-identical model.safetensors. Numbers that JSON does not know (NaN) become null in metrics
    and history. Other files in the directory stay as they are.

    Args:
        tensors: name → array as `spec.model.model_parameter_shapes` says, float32 or float16.
        card: content of README.md.
        force: whether a model that is there is replaced.
        keep_scratch: whether the training's own files (`.training/`) stay; otherwise they are removed at the end.
    Raises:
        OptionError: the configuration contradicts itself.
        ShapeError: names, shapes or types of the tensors do not fit the configuration, or a value is not finite.
        OutputError: a model is there and force is false; or the disk is full, not writable, …; nothing is left behind.
    """
    directory = Path(path)
    check_target(directory, force=force)
    if problem := _tensor_problem(config, tensors):
        raise ShapeError(f"cannot write model to {path}: {problem}")
    contents = {
        TENSORS: save_safetensors({name: np.ascontiguousarray(array) for name, array in tensors.items()}),
        TOKENIZER: tokenizer_json.encode(),
        METRICS: (_json(metrics, indent=2) + "\n").encode("utf-8", "replace"),
        HISTORY: "".join(_json(row) + "\n" for row in history).encode("utf-8", "replace"),
        CARD: card.encode("utf-8", "replace"),
    }
    contents[CONFIG] = dump_config(config, {name: FileFacts.of(contents[name]) for name in _CHECKED})
    created = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _finish_interrupted(directory)
        _replace(directory, contents)
        if not keep_scratch:
            shutil.rmtree(directory / SCRATCH, ignore_errors=True)
    except OSError as error:
        if created:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise output_error(error, path) from error


def read_model_directory(path: Path | str) -> ModelDirectory:
    """Read and check a model directory; nothing in it is run.

    Raises:
        ModelError: it is not there; a file is missing, truncated, changed or unreadable; the schema is newer than this
            package; or the tensors do not fit the configuration. The message names the file and the remedy.
    """
    directory = Path(path)
    remedy = "give the folder that `throughtime train … --out DIR` wrote"
    try:
        if not directory.is_dir():
            what = "is a file, not a model directory" if directory.exists() else "does not exist"
            raise ModelError(f"{path} {what}: {remedy}")
        if not holds_model(directory):
            if (directory / SCRATCH).exists():
                remedy = "end it with the `throughtime train` command that began it, and --resume"
                raise ModelError(f"{path} holds an unfinished run and no model yet: {remedy}")
            raise ModelError(f"{path} holds no model: {remedy}")
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): {remedy}, and make it readable") from error
    try:
        return _read_whole(directory)
    except ModelError as error:
        raise ModelError(f"model directory {path}: {error}") from error


def _read_whole(directory: Path) -> ModelDirectory:
    """The model that is there, also where a writer puts another in its place meanwhile."""
    for _ in range(_ATTEMPTS):
        config_json = _read(directory, CONFIG)
        try:
            return _model(directory, config_json)
        except ModelError:
            if _read(directory, CONFIG) == config_json:
                raise
    raise ModelError("the model was replaced each time while it was read: wait until nobody writes there")


def _model(directory: Path, config_json: bytes) -> ModelDirectory:
    """The model that config.json describes."""
    config, facts = load_config(config_json)
    _check_listed(facts)
    contents = {name: _read_checked(directory, name, facts[name]) for name in _CHECKED}
    return ModelDirectory(
        config=config,
        tensors=_load_tensors(config, contents[TENSORS]),
        tokenizer_json=_decode(TOKENIZER, contents[TOKENIZER]),
        metrics=_load_json(METRICS, contents[METRICS]),
        history=[_load_json(HISTORY, line) for line in contents[HISTORY].splitlines()],
    )


def _replace(directory: Path, contents: Mapping[str, bytes]) -> None:
    writing = directory / f"{_WRITING}{secrets.token_hex(4)}"
    try:
        writing.mkdir()
        for name, data in contents.items():
            with (writing / name).open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        sync_directory(writing)
        writing.rename(directory / _COMPLETE)
    except BaseException:
        shutil.rmtree(writing, ignore_errors=True)
        raise
    sync_directory(directory)
    _move_up(directory)


def _finish_interrupted(directory: Path) -> None:
    """Finish what a killed writer had begun: move up a complete model, remove an incomplete one."""
    if (directory / _COMPLETE).is_dir():
        _move_up(directory)
    for leftover in directory.glob(f"{_WRITING}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _move_up(directory: Path) -> None:
    complete = directory / _COMPLETE
    for name in _FILES:
        if (complete / name).exists():
            (complete / name).replace(directory / name)
    sync_directory(directory)
    try:
        complete.rmdir()
    except OSError:  # a file that is none of ours, as some file managers leave
        shutil.rmtree(complete, ignore_errors=True)


def _read(directory: Path, name: str, size: int | None = None) -> bytes:
    """The content of a file, of `size` bytes where that is known; nothing else is read, nor what has no end."""
    try:
        try:
            descriptor = _open(directory / _COMPLETE / name)
        except (FileNotFoundError, NotADirectoryError):
            descriptor = _open(directory / name)
        try:
            return _content(descriptor, name, size)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise ModelError(f"{name} is missing: {_REMEDY}") from None
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}): make it readable, or restore it") from error


def _open(path: Path) -> int:
    """Opened to be read, without waiting for the other end of a pipe."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))


def _content(descriptor: int, name: str, size: int | None) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{name} is no file, but a folder, pipe or device: {_REMEDY}")
    if size is not None and status.st_size != size:
        raise ModelError(f"{name} has {status.st_size} bytes, but config.json says {size}: {_REMEDY}")
    if size is None and status.st_size > _LARGEST_CONFIG:
        raise ModelError(f"{name} has {status.st_size} bytes, more than a model's ever has: {_REMEDY}")
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(status.st_size)


def _check_listed(facts: Mapping[str, FileFacts]) -> None:
    if missing := sorted(set(_CHECKED) - set(facts)):
        raise ModelError(f"config.json has no checksum of {missing[0]}: {_REMEDY}")
    if unknown := sorted(set(facts) - set(_CHECKED)):
        raise ModelError(f"config.json lists {unknown[0]}, unknown to this throughtime: upgrade it, or train again")


def _read_checked(directory: Path, name: str, facts: FileFacts) -> bytes:
    data = _read(directory, name, facts.size)
    if FileFacts.of(data) != facts:
        raise ModelError(f"{name} was changed or damaged (its checksum does not fit config.json): {_REMEDY}")
    return data


def _load_tensors(config: ModelConfig, data: bytes) -> dict[str, NDArray[np.float32]]:
    try:
        tensors = load_safetensors(data)
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:  # unreadable, or an odd dtype
        raise ModelError(f"{TENSORS} cannot be read ({error}): train again with --force") from error
    if problem := _tensor_problem(config, tensors):
        raise ModelError(f"{TENSORS} does not fit config.json ({problem}): train again with --force")
    return {name: array.astype(np.float32, copy=False) for name, array in tensors.items()}


def _tensor_problem(config: ModelConfig, tensors: Mapping[str, NDArray[Any]]) -> str | None:
    expected = model_parameter_shapes(config)
    if missing := [name for name in expected if name not in tensors]:
        return f"tensor {missing[0]} is missing"
    if unknown := [name for name in tensors if name not in expected]:
        return f"tensor {unknown[0]} is none of this model's"
    for name, shape in expected.items():
        array = tensors[name]
        if array.shape != shape:
            return f"tensor {name} has shape {array.shape}, expected {shape}"
        if array.dtype not in (np.float32, np.float16):
            return f"tensor {name} is {array.dtype}, expected float32 or float16"
        if not np.isfinite(array).all():
            return f"tensor {name} holds a value that is not finite"
    return None


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(to_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _decode(name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{name} is not UTF-8 ({error}): train again with --force") from error


def _load_json(name: str, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} is no JSON ({error}): train again with --force") from error
    if not isinstance(value, dict):
        raise ModelError(f"{name} holds no JSON object: train again with --force")
    return value
