"""What is measured: recurrent layers, training, prediction. Runs are compared by the cases' names."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from throughtime.spec.cells import GATES, Cell

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


@dataclass(frozen=True)
class LayerCase:
    """A layer of one cell on one problem."""

    cell: Cell
    work: Work
    shape: LayerShape

    @property
    def name(self) -> str:
        sizes = f"{self.shape.batch}x{self.shape.steps}x{self.shape.input_size}x{self.shape.hidden_size}"
        kind = ("-ragged" if self.shape.ragged else "-equal") + ("-bidirectional" if self.shape.bidirectional else "")
        return f"layers/{self.cell}/{self.work}/{sizes}{kind}"

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


Case: TypeAlias = LayerCase | TrainingCase | TextModelCase | PredictionCase | ColdCase

CELLS: Final[tuple[Cell, ...]] = ("LSTM", "GRU", "RNN")

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

_QUICK_SIZES: Final = ((4, 24, 16, 16), (1, 12, 16, 16))
_QUICK_BIDIRECTIONAL: Final = LayerShape(4, 12, 16, 8, ragged=True, bidirectional=True)
_QUICK_STREAM: Final = LayerShape(1, 1, 16, 16, ragged=False)


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
    texts: list[Case]
    if quick:
        texts = [TextModelCase("default", 300, 4), TrainingCase("default", 300, 4), PredictionCase(100, 10)]
    else:
        texts = [
            TextModelCase("default", 25_000, 60),
            TrainingCase("default", 25_000, 150),
            PredictionCase(10_000, 200),
        ]
    return [*layers, *texts, ColdCase()]


def choose(cases: Sequence[Case], patterns: Sequence[str]) -> list[Case]:
    """The cases whose name begins as one of `patterns` says, as "layers/*/inference"; all if there are none.

    Raises:
        ValueError: no name begins like a pattern; lists the names.
    """

    def fits(case: Case, pattern: str) -> bool:
        return fnmatchcase(case.name, pattern + "*")

    for pattern in patterns:
        if not any(fits(case, pattern) for case in cases):
            raise ValueError(f"no case is called {pattern!r}; cases: {', '.join(case.name for case in cases)}")
    return [case for case in cases if not patterns or any(fits(case, pattern) for pattern in patterns)]
