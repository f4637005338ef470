"""config.json: a `ModelConfig`, the checksums of the other files, and the checksum of itself, as bytes and back.

The file ends with its own checksum: SHA-256 of every byte that stands before the checksum's value. So any changed byte
is seen, white space included, and nothing but the standard library is needed to look.
"""

import dataclasses
import hashlib
import json
import math
import re
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from throughtime.spec.cells import CLASSIC, NONLINEARITIES
from throughtime.spec.errors import ModelError, OptionError
from throughtime.spec.model import (
    LARGEST_COUNT,
    SCHEMA_VERSION,
    Cut,
    EncoderConfig,
    HeadConfig,
    LabelKind,
    ModelConfig,
    Pooling,
    PreprocessingConfig,
)

_END: Final = re.compile(rb'"checksum": "([0-9a-f]{64})"\n}\n\Z')
_REMEDY: Final = "restore it from a copy, or train again with --force"


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 (hexadecimal) of a file of the model directory."""

    size: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "FileFacts":
        return cls(len(data), hashlib.sha256(data).hexdigest())


def check_config(config: ModelConfig) -> None:
    """Whether the values of a configuration exist and agree with each other.

    Raises:
        OptionError: names the field and its value.
    """
    encoder, head = config.encoder, config.head
    _one_of("label_kind", config.label_kind, get_args(LabelKind))
    _one_of("encoder.kind", encoder.kind, ("recurrent", "bag"))
    _one_of("encoder.cell", encoder.cell, CLASSIC)
    _one_of("encoder.nonlinearity", encoder.nonlinearity, NONLINEARITIES)
    _one_of("head.pooling", head.pooling, get_args(Pooling))
    _one_of("preprocessing.cut", config.preprocessing.cut, get_args(Cut))
    _count("preprocessing.max_tokens", config.preprocessing.max_tokens, 1)
    _count("encoder.vocabulary_size", encoder.vocabulary_size, 2)
    _count("encoder.embedding_size", encoder.embedding_size, 1)
    if encoder.kind == "recurrent":
        _ = encoder.layer_options  # raises what is wrong with the sizes and the options of the cell
        _count("encoder.hidden_size", max(encoder.hidden_size), 1)
        if encoder.segment is not None:
            _count("encoder.segment", encoder.segment, 1)
            if head.pooling == "last":
                raise OptionError(
                    f"head.pooling 'last' reads the end of one recurrence, but encoder.segment {encoder.segment} cuts "
                    "a text into several: choose another pooling, or no segment"
                )
    elif head.pooling == "last":
        raise OptionError(
            "head.pooling 'last' reads the end of a recurrence, but encoder.kind 'bag' has none: choose 'mean'"
        )
    labels = config.labels
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise OptionError(f"labels must be at least two different names, but are {list(labels)}")
    if head.num_classes != len(labels):
        raise OptionError(f"head.num_classes must be the number of labels: {head.num_classes} != {len(labels)}")
    if len(config.prior) != len(labels):
        raise OptionError(f"prior must hold one share a label: {len(config.prior)} != {len(labels)}")
    if not all(0 <= share <= 1 for share in config.prior) or not math.isclose(sum(config.prior), 1, abs_tol=1e-6):
        raise OptionError(f"prior must be shares that sum to 1, but is {list(config.prior)}")


def dump_config(config: ModelConfig, files: Mapping[str, FileFacts]) -> bytes:
    """The bytes of config.json.

    Raises:
        OptionError: the configuration contradicts itself (see `check_config`).
    """
    check_config(config)
    content = to_plain(dataclasses.asdict(config))
    content = {"schema_version": content.pop("schema_version"), **content}
    content["files"] = {name: {"bytes": facts.size, "sha256": facts.sha256} for name, facts in files.items()}
    text = json.dumps({**content, "checksum": "0" * 64}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    data = text.encode("utf-8", "surrogatepass")
    hashed = data[: -len(b'0"\n}\n') - 63]
    return hashed + hashlib.sha256(hashed).hexdigest().encode() + b'"\n}\n'


def to_plain(value: Any) -> Any:
    """The value as JSON can hold it: NumPy numbers become Python's, NaN and infinities null, other objects text."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy number or array
        return to_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def load_config(data: bytes) -> tuple[ModelConfig, dict[str, FileFacts]]:
    """The configuration in the bytes of config.json, and what it says of the other files.

    Raises:
        ModelError: damaged, edited, of a newer schema, or with fields that are missing, unknown or of a wrong type. The
            message speaks of "config.json" and leaves it to the caller to say where that is.
    """
    try:
        content = json.loads(data.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"config.json is damaged ({error}): {_REMEDY}") from error
    if not isinstance(content, dict):
        raise ModelError(f"config.json is damaged (no object): {_REMEDY}")
    end = _END.search(data)
    fits = end is not None and hashlib.sha256(data[: end.start(1)]).hexdigest().encode() == end.group(1)
    version = content.get("schema_version")
    if type(version) is int and version > SCHEMA_VERSION:
        doubt = "" if fits else ", or damaged (its checksum does not fit)"
        raise ModelError(
            f"config.json has schema version {reprlib.repr(version)}, but this throughtime reads up to "
            f"{SCHEMA_VERSION}: it was written by a newer throughtime{doubt}; upgrade with: pip install --upgrade "
            "throughtime"
        )
    if not fits:
        raise ModelError(f"config.json was edited or damaged (its checksum does not fit): {_REMEDY}")
    del content["checksum"]
    return _model(content)


def _model(content: dict[str, Any]) -> tuple[ModelConfig, dict[str, FileFacts]]:
    root = _Fields("", content)
    version = root.take("schema_version", int)
    if version != SCHEMA_VERSION:
        raise ModelError(f"config.json has schema version {version}, which does not exist: {_REMEDY}")
    preprocessing = root.section("preprocessing")
    encoder = root.section("encoder")
    head = root.section("head")
    files = root.section("files")
    config = ModelConfig(
        labels=tuple(root.take_list("labels", str)),
        label_kind=root.take("label_kind", str),
        prior=tuple(root.take_list("prior", float)),
        preprocessing=PreprocessingConfig(
            max_tokens=preprocessing.take("max_tokens", int), cut=preprocessing.take("cut", str)
        ),
        encoder=EncoderConfig(
            kind=encoder.take("kind", str),
            vocabulary_size=encoder.take("vocabulary_size", int),
            embedding_size=encoder.take("embedding_size", int),
            cell=encoder.take("cell", str),
            hidden_size=tuple(encoder.take_list("hidden_size", int)),
            bidirectional=encoder.take("bidirectional", bool),
            nonlinearity=encoder.take("nonlinearity", str),
            reset_after=encoder.take("reset_after", bool),
            segment=encoder.take("segment", int, optional=True),
        ),
        head=HeadConfig(pooling=head.take("pooling", str), num_classes=head.take("num_classes", int)),
        training=root.take("training", dict),
    )
    facts = {}
    for name in list(files.content):
        section = files.section(name)
        facts[name] = FileFacts(section.take("bytes", int), section.take("sha256", str))
        section.end()
    for section in (preprocessing, encoder, head, files, root):
        section.end()
    try:
        check_config(config)
    except OptionError as error:
        raise ModelError(f"config.json contradicts itself ({error}): {_REMEDY}") from error
    return config, facts


class _Fields:
    """An object of the JSON file whose fields are taken one by one, until none may be left."""

    def __init__(self, path: str, content: dict[str, Any]) -> None:
        self.path = path
        self.content = dict(content)

    def take(self, name: str, kind: Callable[[Any], Any], *, optional: bool = False) -> Any:
        if name not in self.content:
            raise ModelError(f"config.json lacks the field {self.path}{name}: {_REMEDY}")
        value = self.content.pop(name)
        if optional and value is None:
            return None
        return self._typed(name, value, kind)

    def take_list(self, name: str, kind: Callable[[Any], Any]) -> list[Any]:
        return [self._typed(name, value, kind) for value in self.take(name, list)]

    def section(self, name: str) -> "_Fields":
        return _Fields(f"{self.path}{name}.", self.take(name, dict))

    def end(self) -> None:
        if self.content:
            name = f"{self.path}{next(iter(self.content))}"
            raise ModelError(
                f"config.json has the unknown field {name}: another throughtime wrote it; upgrade, or train again"
            )

    def _typed(self, name: str, value: Any, kind: Callable[[Any], Any]) -> Any:
        wanted = None
        if type(value) is int and abs(value) > LARGEST_COUNT:
            wanted = f"at most {LARGEST_COUNT} in size"
        elif kind is float and type(value) is int:
            return float(value)
        elif type(value) is not kind:
            wanted = getattr(kind, "__name__", str(kind))
        if wanted is not None:
            shown = reprlib.repr(value)
            raise ModelError(f"config.json: field {self.path}{name} must be {wanted}, but is {shown}: {_REMEDY}")
        return value


def _one_of(name: str, value: str, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        raise OptionError(f"{name} must be one of {', '.join(accepted)}, but is {value!r}")


def _count(name: str, value: int, least: int) -> None:
    if value < least:
        raise OptionError(f"{name} must be at least {least}, but is {value}")
    if value > LARGEST_COUNT:
        raise OptionError(f"{name} must be at most {LARGEST_COUNT}, but is {reprlib.repr(value)}")
