"""What is measured: recurrent layers and their variants, training, prediction. Names tell runs' cases apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import prod
from typing import Any, ClassVar, Final, Literal, TypeAlias

from throughtime.spec.cells import GATES, Cell, ClassicCell, LayerOptions, parameter_shapes

Work: TypeAlias = Literal["training", "inference", "streaming"]
"""Of a layer: forward and backward; forward without gradients; one step, the state going on from call to call."""


@dataclass(frozen=True)
class LayerShape:
    """Sizes of one layer's problem. ragged: lengths fall evenly from `steps` to a sixth of it, else all are `steps`."""

    batch: int
    steps: int
    input_size: int
    hidden_size: int
    ragged: bool
    bidirectional: bool = False

    @property
    def lengths(self) -> list[int]:
        """Real steps of each sequence, longest first."""
        if not self.ragged:
            return [self.steps] * self.batch
        shortest, falls = max(1, self.steps // 6), max(1, self.batch - 1)
        return [self.steps - row * (self.steps - shortest) // falls for row in range(self.batch)]

    @property
    def name(self) -> str:
        """BATCHxSTEPSxINPUTxHIDDEN and what kind it is."""
        sizes = f"{self.batch}x{self.steps}x{self.input_size}x{self.hidden_size}"
        return sizes + ("-ragged" if self.ragged else "-equal") + ("-bidirectional" if self.bidirectional else "")


@dataclass(frozen=True)
class LayerCase:
    """A layer of one cell on one problem."""

    cell: ClassicCell
    work: Work
    shape: LayerShape

    @property
    def name(self) -> str:
        return f"layers/{self.cell}/{self.work}/{self.shape.name}"

    @property
    def output_size(self) -> int:
        return self.shape.hidden_size * (2 if self.shape.bidirectional else 1)

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products over real steps; those of the gates are not counted.

        A multiplication and an addition a weight and step; training adds the products for the gradients of the input
        and of the weights, as many again each.
        """
        shape = self.shape
        weights = len(GATES[self.cell]) * shape.hidden_size * (shape.input_size + shape.hidden_size)
        passes = 3 if self.work == "training" else 1
        return 2 * weights * sum(shape.lengths) * (2 if shape.bidirectional else 1) * passes


@dataclass(frozen=True)
class VariantCase:
    """Training of a layer with an option that torch's layers lack, or of a cell that torch lacks (variant "").

    shape: equal lengths, one direction.
    """

    cell: Cell
    variant: str
    shape: LayerShape

    work: ClassVar[Work] = "training"

    @property
    def name(self) -> str:
        layer = f"{self.cell}-{self.variant}" if self.variant else self.cell
        return f"variants/{layer}/{self.work}/{self.shape.name}"

    @property
    def arguments(self) -> dict[str, Any]:
        """The options as the layers of `throughtime.nn` and `LayerOptions` take them."""
        choices: dict[str, dict[str, Any]] = {
            "": {},
            "layer_norm": {"layer_norm": True},
            "zoneout": {"zoneout": (0.1, 0.1 if self.cell == "LSTM" else 0.0)},
            "recurrent_dropout": {"recurrent_dropout": 0.3},
            "peephole": {"peephole": True},
            "coupled_gates": {"coupled_gates": True},
            "proj_size": {"proj_size": self.shape.hidden_size // 2},
        }
        # With relu, a sum that rounds to the other side of 0 has another gradient, and results could not be compared.
        return choices[self.variant] | ({"nonlinearity": "tanh"} if self.cell == "IndRNN" else {})

    @property
    def options(self) -> LayerOptions:
        return LayerOptions(self.cell, self.shape.input_size, (self.shape.hidden_size,), **self.arguments)

    @property
    def output_size(self) -> int:
        return self.options.output_size

    @property
    def flops(self) -> int:
        """As those of `LayerCase`."""
        weights = sum(prod(shape) for shape in parameter_shapes(self.options).values() if len(shape) == 2)
        return 3 * 2 * weights * sum(self.shape.lengths)


@dataclass(frozen=True)
class RecomputeCase:
    """Training of an LSTM with and without recomputation through time, each in a process of its own."""

    shape: LayerShape

    @property
    def name(self) -> str:
        return f"recompute/LSTM/training/{self.shape.name}"


@dataclass(frozen=True)
class TrainingCase:
    """`throughtime train` with a recipe on synthetic reviews, for so many steps of one epoch."""

    recipe: str
    reviews: int
    steps: int

    @property
    def name(self) -> str:
        return f"training/{self.recipe}/{self.reviews}-reviews-{self.steps}-steps"


@dataclass(frozen=True)
class TextModelCase:
    """Training steps of a recipe's model, throughtime's and the same written in PyTorch, on the same batches."""

    recipe: str
    reviews: int
    steps: int

    @property
    def name(self) -> str:
        return f"text-model/{self.recipe}/{self.reviews}-reviews-{self.steps}-steps"


@dataclass(frozen=True)
class PredictionCase:
    """Texts from a model directory: all in one stream, and some of them each alone."""

    reviews: int
    alone: int

    @property
    def name(self) -> str:
        return f"prediction/{self.reviews}-reviews"


@dataclass(frozen=True)
class ColdCase:
    """Whole processes: `throughtime --help`, and `throughtime predict` of one text."""

    @property
    def name(self) -> str:
        return "prediction/cold-start"


Case: TypeAlias = LayerCase | VariantCase | RecomputeCase | TrainingCase | TextModelCase | PredictionCase | ColdCase

CELLS: Final[tuple[ClassicCell, ...]] = ("LSTM", "GRU", "RNN")
VARIANTS: Final[tuple[tuple[Cell, str], ...]] = (
    *(("LSTM", name) for name in ("layer_norm", "zoneout", "recurrent_dropout", "peephole")),
    *(("GRU", name) for name in ("layer_norm", "zoneout", "recurrent_dropout")),
    *(("LSTM", name) for name in ("coupled_gates", "proj_size")),
    ("RNN", "layer_norm"),
    ("MinGRU", ""),
    ("MinLSTM", ""),
    ("IndRNN", ""),
)

# batch, steps, input, hidden: each with ragged and with equal lengths, except where there is one sequence.
_SIZES: Final = (
    (32, 256, 128, 128),
    (64, 200, 256, 256),
    (32, 100, 512, 512),
    (8, 1000, 64, 64),
    (1, 100, 128, 128),
)
# The recurrence of recipe `default`: as many segments of 50 tokens as go through the model together.
_OF_DEFAULT: Final = LayerShape(160, 50, 100, 128, ragged=True, bidirectional=True)
_STREAM: Final = LayerShape(1, 1, 128, 128, ragged=False)
_VARIANT_SHAPES: Final = (LayerShape(32, 256, 128, 128, ragged=False), LayerShape(1, 100, 128, 128, ragged=False))
_LONG: Final = LayerShape(16, 4096, 16, 128, ragged=False)

_QUICK_SIZES: Final = ((4, 24, 16, 16), (1, 12, 16, 16))
_QUICK_BIDIRECTIONAL: Final = LayerShape(4, 12, 16, 8, ragged=True, bidirectional=True)
_QUICK_STREAM: Final = LayerShape(1, 1, 16, 16, ragged=False)
_QUICK_VARIANT_SHAPES: Final = (LayerShape(4, 12, 16, 16, ragged=False),)
_QUICK_LONG: Final = LayerShape(4, 2000, 8, 64, ragged=False)


def all_cases(*, quick: bool) -> list[Case]:
    """Every case there is; `quick`: the same kinds at sizes that only show that the benchmarks work."""
    sizes, both_ways = (_QUICK_SIZES, _QUICK_BIDIRECTIONAL) if quick else (_SIZES, _OF_DEFAULT)
    shapes = [
        LayerShape(*size, ragged=ragged) for size in sizes for ragged in (True, False) if size[0] > 1 or not ragged
    ]
    sequences: tuple[Work, ...] = ("training", "inference")
    layers = [LayerCase(cell, work, shape) for shape in [*shapes, both_ways] for work in sequences for cell in CELLS]
    stream = _QUICK_STREAM if quick else _STREAM
    layers += [LayerCase(cell, "streaming", stream) for cell in CELLS]
    variants = [
        VariantCase(cell, variant, shape)
        for shape in (_QUICK_VARIANT_SHAPES if quick else _VARIANT_SHAPES)
        for cell, variant in VARIANTS
    ]
    texts: list[Case]
    if quick:
        texts = [TextModelCase("default", 300, 4), TrainingCase("default", 300, 4), PredictionCase(100, 10)]
    else:
        texts = [
            TextModelCase("default", 25_000, 60),
            TrainingCase("default", 25_000, 150),
            PredictionCase(10_000, 200),
        ]
    return [*layers, *variants, RecomputeCase(_QUICK_LONG if quick else _LONG), *texts, ColdCase()]


def choose(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """The cases whose name begins as one of `patterns` says, as "layers/*/inference"; all if there are none.

    Raises:
        ValueError: no name begins like a pattern; tells the beginning most like it, and what all begin with.
    """

    def fits(case: Case, pattern: str) -> bool:
        return fnmatchcase(case.name, pattern + "*")

    for pattern in patterns:
        if not any(fits(case, pattern) for case in cases):
            like = get_close_matches(pattern, _beginnings(cases, pattern.count("/") + 1), n=1)
            meant = f"did you mean {like[0]}? " if like else ""
            kinds = ", ".join(_beginnings(cases, 1))
            raise ValueError(f"no case begins like {pattern!r}; {meant}cases begin with {kinds}")
    return [case for case in cases if not patterns or any(fits(case, pattern) for pattern in patterns)]


def _beginnings(cases: Sequence[Case], parts: int) -> list[str]:
    return list(dict.fromkeys("/".join(case.name.split("/")[:parts]) for case in cases))
