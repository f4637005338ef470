"""Values and gradients of every option of every cell against the same formulas in torch, written independently."""

from collections.abc import Callable
from typing import Any

from throughtime.spec.tolerances import GRADIENT, OUTPUT

Make = Callable[..., Any]
Check = Callable[..., None]


def test_a_whole_stack(problem: Make, formula_run: Make, close: Check, variant: dict[str, Any]) -> None:
    given = problem([4, 1, 6], input_size=3, hidden_size=(4, 3), bidirectional=True, **variant)
    results, gradients = formula_run(given)
    close(given.results(), results, OUTPUT["float64"])
    close(given.gradients(), gradients, GRADIENT["float64"])


def test_outside_of_training(problem: Make, formula_run: Make, close: Check, random_variant: dict[str, Any]) -> None:
    given = problem([3, 5], bidirectional=True, **random_variant | {"training": False})
    results, gradients = formula_run(given)
    close(given.results(), results, OUTPUT["float64"])
    close(given.gradients(), gradients, GRADIENT["float64"])
