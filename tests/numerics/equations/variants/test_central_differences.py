"""Every option of every cell: the gradient of every argument against central differences, and what must hold anyway."""

from collections.abc import Callable
from typing import Any

import pytest

from throughtime.spec.tolerances import CENTRAL

Make = Callable[..., Any]
Check = Callable[..., None]


@pytest.fixture
def check(problem: Make, central: Make, close: Check) -> Check:
    def run(lengths: list[int], **options: Any) -> None:
        given = problem(lengths, **options)
        close(given.gradients(), central(given.error, given.arguments(), steep=given.options.layer_norm), CENTRAL)

    return run


def test_two_bidirectional_layers_with_ragged_lengths(check: Check, variant: dict[str, Any]) -> None:
    check([1, 3, 2], hidden_size=(3, 3) if "proj_size" in variant else (3, 2), bidirectional=True, **variant)


def test_without_biases(check: Check, variant: dict[str, Any]) -> None:
    check([2, 3], bias=False, **variant)


def test_without_masks(check: Check, random_variant: dict[str, Any]) -> None:
    check([3, 1, 2], **random_variant | {"training": False})


def test_seven_steps(check: Check, variant: dict[str, Any]) -> None:
    check([7], **variant)
