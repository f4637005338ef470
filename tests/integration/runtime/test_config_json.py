"""config.json: a file that is damaged, edited, newer, or says what cannot be is refused, and the message says why."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from throughtime.runtime.config_json import FileFacts, dump_config
from throughtime.runtime.model_dir import read_model_directory
from throughtime.spec.errors import ModelError, OptionError


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model_directory(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000
    return message


def rewrite_config(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """A config.json whose content is changed and whose checksum is right."""
    content = json.loads((path / "config.json").read_bytes())
    del content["checksum"]
    change(content)
    content["checksum"] = "0" * 64
    data = (json.dumps(content, indent=2) + "\n").encode()
    start = len(data) - 64 - len(b'"\n}\n')
    checksum = FileFacts.of(data[:start]).sha256.encode()
    (path / "config.json").write_bytes(data[:start] + checksum + data[start + 64 :])


def test_a_config_edited_by_hand_says_so(model_path: Path) -> None:
    config = model_path / "config.json"
    config.write_text(config.read_text().replace('"neg"', '"bad"'))
    assert "config.json was edited or damaged (its checksum does not fit): restore it" in refused(model_path)


@pytest.mark.parametrize("fits", [True, False])
def test_a_newer_schema_asks_for_an_upgrade(model_path: Path, fits: bool) -> None:
    if fits:
        rewrite_config(model_path, lambda content: content.update(schema_version=2, novelty=[1]))
    else:
        text = (model_path / "config.json").read_text()
        (model_path / "config.json").write_text(text.replace('"schema_version": 1', '"schema_version": 2'))
    message = refused(model_path)
    assert "schema version 2, but this throughtime reads up to 1" in message
    assert "pip install --upgrade throughtime" in message
    assert ("damaged" in message) != fits


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(extra=1), "unknown field extra"),
        (lambda c: c["encoder"].update(extra=1), "unknown field encoder.extra"),
        (lambda c: c["files"]["tokenizer.json"].update(extra=1), "unknown field files.tokenizer.json.extra"),
        (lambda c: c.pop("labels"), "lacks the field labels"),
        (lambda c: c["head"].pop("pooling"), "lacks the field head.pooling"),
        (lambda c: c["files"].pop("tokenizer.json"), "no checksum of tokenizer.json"),
        (lambda c: c["files"].update({"x.bin": {"bytes": 1, "sha256": ""}}), "lists x.bin"),
        (lambda c: c.update(labels="neg"), "field labels must be list, but is 'neg'"),
        (lambda c: c.update(labels=["neg", 1]), "field labels must be str, but is 1"),
        (lambda c: c["encoder"].update(bidirectional=1), "field encoder.bidirectional must be bool, but is 1"),
        (lambda c: c["encoder"].update(hidden_size=[3, True]), "field encoder.hidden_size must be int, but is True"),
        (lambda c: c.update(schema_version=0), "schema version 0, which does not exist"),
        (lambda c: c.update(schema_version="1"), "field schema_version must be int, but is '1'"),
        (lambda c: c["encoder"].update(cell="TCN"), "encoder.cell must be one of RNN, GRU, LSTM, but is 'TCN'"),
        (lambda c: c["encoder"].update(hidden_size=[]), "hidden_size must hold one size"),
        (lambda c: c["encoder"].update(segment=0), "encoder.segment must be at least 1, but is 0"),
        (lambda c: c["head"].update(pooling="last"), "choose another pooling, or no segment"),
        (lambda c: c.update(prior=[0.5, 0.6]), "prior must be shares that sum to 1"),
        (lambda c: c.update(prior=[float("nan"), 1]), "prior must be shares that sum to 1"),
        (lambda c: c.update(prior=[1]), "one share a label: 1 != 2"),
        (lambda c: c.update(labels=["neg", "neg"]), "at least two different names"),
        (lambda c: c["head"].update(num_classes=3), "3 != 2"),
        (lambda c: c["preprocessing"].update(max_tokens=0), "preprocessing.max_tokens must be at least 1"),
        (lambda c: c["preprocessing"].update(cut="middle"), "preprocessing.cut must be one of head, tail, head+tail"),
        (lambda c: c["encoder"].update(hidden_size=[5]), "recurrent.weight_ih_l0 has shape (12, 4), expected (20, 4)"),
        (lambda c: c["encoder"].update(hidden_size=[3, 3]), "tensor recurrent.weight_ih_l1 is missing"),
        (lambda c: c["encoder"].update(bidirectional=False), "is none of this model's"),
        (lambda c: c.update(prior=[10**400, 0]), "field prior must be at most 9007199254740992 in size, but is 1000"),
        (lambda c: c["encoder"].update(segment=2**63), "segment must be at most 9007199254740992 in size, but is 9223"),
        (lambda c: c["encoder"].update(hidden_size=[9 * 10**4299]), "field encoder.hidden_size must be at most"),
        (lambda c: c["encoder"].update(hidden_size=[-(10**4200)]), "field encoder.hidden_size must be at most"),
        (
            lambda c: c["encoder"].update(segment=[0] * 1000),
            "encoder.segment must be int, but is [0, 0, 0, 0, 0, 0, ...",
        ),
        (lambda c: c["files"]["tokenizer.json"].update(bytes=10**30), "files.tokenizer.json.bytes must be at most"),
        (lambda c: c.update(schema_version=10**4200), "has schema version 100000"),
    ],
)
def test_a_config_that_says_other_things_is_refused(
    model_path: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    rewrite_config(model_path, change)
    assert complaint in refused(model_path)


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("preprocessing", {"max_tokens": 10**30}),
        ("encoder", {"segment": 10**30}),
        ("encoder", {"hidden_size": (3, 10**30)}),
        ("encoder", {"embedding_size": 10**4299}),
        ("encoder", {"vocabulary_size": 10**30}),
    ],
)
def test_counts_that_no_array_has_are_not_written(
    tmp_path: Path, write_model: Any, section: str, change: dict[str, Any]
) -> None:
    config, _ = write_model(tmp_path / "model")
    part = dataclasses.replace(getattr(config, section), **change)
    with pytest.raises(
        OptionError, match=f"{section}.{next(iter(change))} must be at most 9007199254740992, but is 10"
    ):
        dump_config(dataclasses.replace(config, **{section: part}), {})


@pytest.mark.parametrize("content", [b"[]", b"1", b"null", b'"x"', b"[" * 100_000, b"\xff\xfe"])
def test_a_config_that_is_no_object_is_refused(model_path: Path, content: bytes) -> None:
    (model_path / "config.json").write_bytes(content)
    assert "config.json is damaged" in refused(model_path)
