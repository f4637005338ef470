"""`config.json` of a model directory: the border between training (torch) and use (no torch).

Plain dataclasses, so that reading a model needs nothing but the standard library. What a field means is said here once;
`runtime.model_dir` reads and checks it, `text.training` fills it.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from throughtime.spec.cells import Cell, LayerOptions, Nonlinearity, parameter_shapes

SCHEMA_VERSION: Final = 1

Cut: TypeAlias = Literal["head", "tail", "head+tail"]
Pooling: TypeAlias = Literal["last", "max", "mean", "max+mean", "attention"]
LabelKind: TypeAlias = Literal["str", "int", "bool", "float"]

LARGEST_COUNT: Final = 1 << 53
"""No size or count of a configuration is larger: every reader of JSON holds it exactly, and so do arrays."""
PAD_ID: Final = 0
"""Row 0 of every embedding: the padding token, never looked at by a model."""
UNKNOWN_ID: Final = 1
"""Row 1: every token that the vocabulary does not hold."""
PAD_TOKEN: Final = "[PAD]"
UNKNOWN_TOKEN: Final = "[UNK]"


@dataclass(frozen=True)
class PreprocessingConfig:
    """How a text becomes token ids: `tokenizer.json`, then the cut. A text without tokens gets the prior.

    max_tokens: longest token sequence kept. cut: which part of a longer one stays ("head+tail": the first
    max_tokens // 2 tokens and the last max_tokens - max_tokens // 2).
    """

    max_tokens: int
    cut: Cut


@dataclass(frozen=True)
class EncoderConfig:
    """Token ids → one vector a token.

    kind "recurrent": embedding → recurrent stack. kind "bag": embedding alone (then cell and what follows are unused).
    segment: the recurrent stack starts afresh every `segment` tokens (None: once a text), and pooling is over all
    outputs of the text. Short recurrences are faster and, under pooling, as accurate (chopping, Johnson & Zhang 2016).
    """

    kind: Literal["recurrent", "bag"]
    vocabulary_size: int
    embedding_size: int
    cell: Cell = "LSTM"
    hidden_size: tuple[int, ...] = ()
    bidirectional: bool = False
    nonlinearity: Nonlinearity = "tanh"
    reset_after: bool = True
    segment: int | None = None

    @property
    def layer_options(self) -> LayerOptions:
        """The recurrent stack; only for kind "recurrent"."""
        return LayerOptions(
            cell=self.cell,
            input_size=self.embedding_size,
            hidden_size=self.hidden_size,
            bidirectional=self.bidirectional,
            nonlinearity=self.nonlinearity,
            reset_after=self.reset_after,
        )

    @property
    def output_size(self) -> int:
        return self.embedding_size if self.kind == "bag" else self.layer_options.output_size


@dataclass(frozen=True)
class HeadConfig:
    """One vector a token → one probability a class: pooling over the text, then linear and softmax.

    pooling "last": the final hidden state of each direction (the reverse one's is at the first token).
    "attention": weights softmax_t(w · h_t + b), with parameters head.attention.weight (1, size) and .bias (1,).
    "max+mean": both, concatenated in this order.
    """

    pooling: Pooling
    num_classes: int

    def input_size(self, encoder_size: int) -> int:
        return 2 * encoder_size if self.pooling == "max+mean" else encoder_size


@dataclass(frozen=True)
class ModelConfig:
    """The whole of config.json, less its checksums (which `runtime.model_dir` adds and checks).

    labels: names of the classes in the order of the output; label_kind: what Python type a user's labels had.
    prior: share of each class among the training texts. training: facts for people (data, seed, versions, times); no
    code depends on it.

    Parameters in model.safetensors (float32 unless said in their header):
        embedding.weight (vocabulary_size, embedding_size)
        recurrent.<name of spec.cells.parameter_shapes>           kind "recurrent" only
        head.attention.weight (1, size), head.attention.bias (1,)  pooling "attention" only
        head.output.weight (num_classes, head input), head.output.bias (num_classes,)
    """

    labels: tuple[str, ...]
    label_kind: LabelKind
    prior: tuple[float, ...]
    preprocessing: PreprocessingConfig
    encoder: EncoderConfig
    head: HeadConfig
    training: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def model_parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors in model.safetensors."""
    encoder, head = config.encoder, config.head
    shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (encoder.vocabulary_size, encoder.embedding_size)}
    if encoder.kind == "recurrent":
        shapes |= {f"recurrent.{name}": shape for name, shape in parameter_shapes(encoder.layer_options).items()}
    if head.pooling == "attention":
        shapes |= {"head.attention.weight": (1, encoder.output_size), "head.attention.bias": (1,)}
    shapes["head.output.weight"] = (head.num_classes, head.input_size(encoder.output_size))
    shapes["head.output.bias"] = (head.num_classes,)
    return shapes
