"""The whole configuration of a training run, as read from a recipe's YAML: every key, its meaning, its limits.

Unknown keys and impossible combinations are refused with the key's full name. A recipe is a configuration with
comments; `throughtime recipe show NAME` prints one to copy and change.
"""

import contextlib
import operator
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from throughtime.spec.cells import ClassicCell, Nonlinearity
from throughtime.spec.errors import ConfigError, OptionError
from throughtime.spec.model import LARGEST_COUNT, Cut, EncoderConfig, HeadConfig, Pooling, PreprocessingConfig
from throughtime.text.tokenizing import TokenizerOptions


def _no_switch(value: Any) -> Any:
    """Python takes True for 1: a number in its place was not meant."""
    if isinstance(value, bool):
        raise PydanticCustomError("float_type", "should be a number")
    return value


_MOST_TOKENS: Final = 1 << 24
"""Of a vocabulary: far more than any text has, and few enough for the library that learns byte pairs."""
Number = Annotated[float, BeforeValidator(_no_switch)]
Share = Annotated[Number, Field(ge=0.0, lt=1.0)]
"""A probability or a part of the whole; 1 would leave nothing."""


def _whole(value: Any) -> int:
    """Integers of any library; Python would take True, "2" and 2.5 for such, too."""
    if not isinstance(value, bool):
        with contextlib.suppress(TypeError):
            return operator.index(value)
    raise PydanticCustomError("int_type", "should be an integer")


Whole = Annotated[int, BeforeValidator(_whole)]
Count = Annotated[Whole, Field(ge=1, le=LARGEST_COUNT)]


def _one_layer(size: Any) -> Any:
    """A single size is a stack of one layer."""
    return (size,) if isinstance(size, int) and not isinstance(size, bool) else size


class Section(BaseModel):
    """A group of keys; none may be unknown, none may change after reading, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Preprocessing(Section):
    """Text → token ids."""

    tokenizer: Literal["words", "characters", "bpe"] = "words"
    vocabulary_size: Annotated[Whole, Field(ge=3, le=_MOST_TOKENS)] = 30_000
    min_count: Count = 2
    lowercase: bool = True
    max_tokens: Count = 400
    cut: Cut = "head+tail"


class Encoder(Section):
    """Token ids → one vector a token. `bag` has no recurrent stack: the keys from `cell` on must then be left out."""

    kind: Literal["recurrent", "bag"] = "recurrent"
    embedding_size: Count = 100
    embedding_std: Annotated[Number, Field(gt=0.0)] = 0.1
    embedding_init: Literal["random", "cooccurrence", "vectors"] = "random"
    vectors: Path | None = None
    unknown_vectors: Literal["random", "zeros"] = "random"
    cell: ClassicCell = "LSTM"
    hidden_size: Annotated[tuple[Count, ...], Field(min_length=1), BeforeValidator(_one_layer)] = (64,)
    bidirectional: bool = True
    nonlinearity: Nonlinearity = "tanh"
    reset_after: bool = True
    forget_bias: Number | None = None
    segment: Count | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.vectors is not None and self.embedding_init != "vectors":
            raise ValueError(f"vectors: {self.vectors} needs embedding_init: vectors, but it is {self.embedding_init}")
        if self.unknown_vectors == "zeros" and self.embedding_init == "random":
            raise ValueError("unknown_vectors: zeros is of tokens without a vector; embedding_init: random has none")
        if self.forget_bias is not None and self.cell != "LSTM":
            raise ValueError(f"forget_bias is an option of LSTM, but cell is {self.cell}")
        stack = {"cell", "hidden_size", "bidirectional", "nonlinearity", "reset_after", "forget_bias", "segment"}
        given = self.model_fields_set & stack
        if self.kind == "bag" and given:
            raise ValueError(f"kind: bag has no recurrent stack; leave out {', '.join(sorted(given))}")
        return self


class Head(Section):
    """One vector a token → one probability a class."""

    pooling: Pooling = "max+mean"


class Regularisation(Section):
    """What keeps a model from learning its training texts by heart."""

    word_dropout: Share = 0.0
    segment_dropout: Share = 0.0
    embedding_dropout: Share = 0.0
    output_dropout: Share = 0.0
    label_smoothing: Share = 0.0
    weight_decay: Annotated[Number, Field(ge=0.0)] = 0.0
    embedding_decay: Annotated[Number, Field(ge=0.0)] = 0.0


class Optimiser(Section):
    """How weights move."""

    name: Literal["adam", "adamw"] = "adamw"
    learning_rate: Annotated[Number, Field(gt=0.0)] = 0.002
    warmup: Share = 0.1
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    clip_norm: Annotated[Number, Field(gt=0.0)] | None = 1.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    averaging: Annotated[Number, Field(gt=0.0, lt=1.0)] | None = None


class Training(Section):
    """How long, on what part of the data, and which epoch is kept."""

    epochs: Count = 5
    min_steps: Count | None = None
    max_steps: Count | None = None
    batch_size: Count = 64
    patience: Count | None = None
    keep: Literal["best", "last"] = "best"
    class_weights: Literal["none", "balanced"] = "none"
    validation_fraction: Share = 0.1
    validation_limit: Count | None = 20_000
    test_fraction: Share = 0.0
    gradient_flow: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.validation_fraction + self.test_fraction >= 1:
            raise ValueError(
                "validation_fraction + test_fraction must be below 1, "
                f"but {self.validation_fraction} + {self.test_fraction} leaves nothing to train on"
            )
        return self


class TrainConfig(Section):
    """A whole recipe. `description` is its first line in listings."""

    description: str = ""
    preprocessing: Preprocessing = Preprocessing()
    encoder: Encoder = Encoder()
    head: Head = Head()
    regularisation: Regularisation = Regularisation()
    optimiser: Optimiser = Optimiser()
    training: Training = Training()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # The model's own dataclasses know which options contradict each other; ask them before any work is done.
        try:
            if self.encoder.kind == "recurrent":
                _ = self.encoder_config(vocabulary_size=self.preprocessing.vocabulary_size).layer_options
        except OptionError as error:
            raise ValueError(str(error)) from None
        if self.encoder.kind == "bag" and self.head.pooling != "mean":
            raise ValueError(f"encoder.kind: bag goes with head.pooling: mean, but pooling is {self.head.pooling}")
        if self.encoder.segment is not None and self.head.pooling == "last":
            raise ValueError(
                "encoder.segment starts the recurrence afresh within a text, so head.pooling: last would see its end "
                f"only; use max+mean, or segment: null (it is {self.encoder.segment})"
            )
        if self.regularisation.segment_dropout and self.encoder.segment is None:
            raise ValueError(
                f"regularisation.segment_dropout is {self.regularisation.segment_dropout}, but encoder.segment is "
                "null: there are no segments to drop"
            )
        if self.optimiser.name == "adam" and (self.regularisation.weight_decay or self.regularisation.embedding_decay):
            raise ValueError(
                "weight decay is decoupled from the gradient and goes with optimiser.name: adamw, not adam"
            )
        return self

    def tokenizer_options(self) -> TokenizerOptions:
        options = self.preprocessing
        return TokenizerOptions(
            kind=options.tokenizer,
            vocabulary_size=options.vocabulary_size,
            min_count=options.min_count,
            lowercase=options.lowercase,
        )

    def preprocessing_config(self) -> PreprocessingConfig:
        return PreprocessingConfig(max_tokens=self.preprocessing.max_tokens, cut=self.preprocessing.cut)

    def encoder_config(self, vocabulary_size: int) -> EncoderConfig:
        encoder = self.encoder
        if encoder.kind == "bag":
            return EncoderConfig(kind="bag", vocabulary_size=vocabulary_size, embedding_size=encoder.embedding_size)
        return EncoderConfig(
            kind="recurrent",
            vocabulary_size=vocabulary_size,
            embedding_size=encoder.embedding_size,
            cell=encoder.cell,
            hidden_size=encoder.hidden_size,
            bidirectional=encoder.bidirectional,
            nonlinearity=encoder.nonlinearity,
            reset_after=encoder.reset_after,
            segment=encoder.segment,
        )

    def head_config(self, num_classes: int) -> HeadConfig:
        return HeadConfig(pooling=self.head.pooling, num_classes=num_classes)


def parse_config(values: Any, origin: str) -> TrainConfig:
    """Checks `values` (what YAML gave) as a configuration.

    Raises:
        ConfigError: names `origin`, the key, its value and what is accepted, all faults in one line.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{origin}: expected sections such as `training:`, found {type(values).__name__}")
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        faults = error.errors()
        # A list is short where its entries were refused: these are the fault.
        wrong = {fault["loc"][:-1] for fault in faults}
        told = [_fault(fault) for fault in faults if fault["type"] != "too_short" or fault["loc"] not in wrong]
        raise ConfigError(f"{origin}: " + "; ".join(told)) from None


_FORGET_BIAS: Final = 1.0
"""Of an LSTM that takes the place of a recipe's other cell: it should begin by keeping what it has."""
_EXPECTED: Final = {
    "int_parsing": "should be an integer",
    "int_type": "should be an integer",
    "int_from_float": "should be an integer",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "too_short": "should have at least one entry",
    "too_long": "should have fewer entries",
    "tuple_type": "should be a list of numbers, as [2, 1]",
    "model_type": "should be a section of keys",
    "dict_type": "should be a section of keys",
}
"""Kinds of faults that pydantic tells in the words of Python's types."""


def _fault(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    message = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    if fault["type"] == "extra_forbidden":
        meant = _key_like(fault["loc"])
        return f"{key}: there is no such key ({meant}`throughtime recipe show default` prints all there are)"
    if fault["type"] == "value_error":
        return f"{key}: {message}" if key else message
    found = fault["input"]
    if fault["type"] == "missing":  # of a list of so many numbers
        return f"{key.rpartition('.')[0]}: should have more entries, but is {found!r}"
    given = "empty" if found is None else repr(found)
    return f"{key}: {_EXPECTED.get(fault['type'], message)}, but is {given}"


def _key_like(path: Sequence[Any]) -> str:
    """Asks whether another key was meant: of this name in any section, else most like it in its own, else in any."""
    section: Any = TrainConfig
    for part in path[:-1]:
        field = getattr(section, "model_fields", {}).get(part)
        section = None if field is None else field.annotation
    before, name = [*map(str, path[:-1])], str(path[-1])
    own = {key: ".".join([*before, key]) for key in getattr(section, "model_fields", {})}
    every = {
        key: f"{other}.{key}"
        for other, field in TrainConfig.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
    }
    found = every.get(name)
    for keys in (own, every):
        found = found or next((keys[key] for key in get_close_matches(name, keys, n=1)), None)
    return f"did you mean {found}? " if found else ""


def with_values(config: TrainConfig, changes: Mapping[str, Any], origin: str) -> TrainConfig:
    """`config` with each "section.key": value of `changes` applied, and with what follows from them (`_consequences`).

    Raises:
        ConfigError: a key that does not exist, or a wrong value; names `origin`.
    """
    # Only keys that were written stay written: what a recipe leaves out is not "given" by a copy of it.
    values = config.model_dump(mode="json", exclude_unset=True)
    changes = {name.strip(): value for name, value in changes.items()}
    for name, value in (_consequences(config, changes) | changes).items():
        *sections, key = name.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(
                    f"{origin}: {name} is not a key; `throughtime recipe show default` prints all there are"
                )
        if isinstance(place.get(key), dict):
            raise ConfigError(f"{origin}: {name} is a section, not a key; name a key in it, as in training.epochs")
        place[key] = value
    return parse_config(values, origin) if changes else config


def _consequences(config: TrainConfig, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says for one choice only must not stand in the way of another; what is changed itself wins."""
    follows: dict[str, Any] = {}
    if "training.epochs" in changes:
        follows["training.min_steps"] = None  # so many epochs, then, and no more
    cell = changes.get("encoder.cell", config.encoder.cell)
    if cell != config.encoder.cell and config.encoder.kind == "recurrent":
        follows["encoder.forget_bias"] = _FORGET_BIAS if cell == "LSTM" else None
    if changes.get("head.pooling") == "last":
        follows["encoder.segment"] = None
    if changes.get("head.pooling") == "last" or ("encoder.segment" in changes and changes["encoder.segment"] is None):
        follows["regularisation.segment_dropout"] = 0.0
    if changes.get("encoder.vectors") is not None:
        follows["encoder.embedding_init"] = "vectors"
    if changes.get("encoder.embedding_init") == "random":
        follows["encoder.unknown_vectors"] = "random"
    if changes.get("optimiser.name") == "adam":
        follows |= {"regularisation.weight_decay": 0.0, "regularisation.embedding_decay": 0.0}
    return follows


def with_changes(config: TrainConfig, changes: Sequence[str]) -> TrainConfig:
    """`config` with each "section.key=value" applied; values are read as YAML.

    Raises:
        ConfigError: a change without "=", a key that does not exist, or a wrong value.
    """
    values = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {change}: expected section.key=value, as in --set training.epochs=3")
        try:
            values[name] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError):  # a ValueError is a date or tagged number that is none
            raise ConfigError(f"--set {change}: {text!r} is not a YAML value; put a text between quotes") from None
    return with_values(config, values, f"--set {changes[0]}" if len(changes) == 1 else "--set")
