"""What is measured: recurrent layers in a few sizes, training, prediction. Runs are compared by the cases' names."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, TypeAlias

from throughtime.spec.cells import Cell

Work: TypeAlias = Literal["training", "inference"]
"""Of a layer: forward and backward, or forward without gradients."""


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
    """A layer of one cell on one problem, with or without gradients."""

    cell: Cell
    work: Work
    shape: LayerShape

    @property
    def name(self) -> str:
        sizes = f"{self.shape.batch}x{self.shape.steps}x{self.shape.input_size}x{self.shape.hidden_size}"
        kind = ("-ragged" if self.shape.ragged else "-equal") + ("-bidirectional" if self.shape.bidirectional else "")
        return f"layers/{self.cell}/{self.work}/{sizes}{kind}"


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


Case: TypeAlias = LayerCase | TrainingCase | PredictionCase | ColdCase

CELLS: Final[tuple[Cell, ...]] = ("LSTM", "GRU", "RNN")
WORKS: Final[tuple[Work, ...]] = ("training", "inference")

# The last is the recurrence of recipe `default`: segments of 50 tokens of a batch of texts, half of them dropped.
_SHAPES: Final = (
    LayerShape(32, 256, 128, 128, ragged=True),
    LayerShape(64, 200, 256, 256, ragged=True),
    LayerShape(32, 256, 128, 128, ragged=False),
    LayerShape(32, 100, 512, 512, ragged=False),
    LayerShape(1, 100, 128, 128, ragged=False),
    LayerShape(8, 1000, 64, 64, ragged=False),
    LayerShape(160, 50, 100, 64, ragged=True, bidirectional=True),
)
_QUICK_SHAPES: Final = (
    LayerShape(4, 24, 16, 16, ragged=True),
    LayerShape(4, 24, 16, 16, ragged=False),
    LayerShape(4, 12, 16, 8, ragged=True, bidirectional=True),
)


def all_cases(*, quick: bool) -> list[Case]:
    """Every case there is; `quick`: the same kinds at sizes that only show that the benchmarks work."""
    shapes = _QUICK_SHAPES if quick else _SHAPES
    layers = [LayerCase(cell, work, shape) for shape in shapes for work in WORKS for cell in CELLS]
    training = TrainingCase("default", 300, 4) if quick else TrainingCase("default", 25_000, 150)
    prediction = PredictionCase(100, 10) if quick else PredictionCase(5_000, 200)
    return [*layers, training, prediction, ColdCase()]


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
