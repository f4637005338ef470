"""THROUGHTIME_ISA: each instruction set can be forced, is the one that runs, and a wrong name is an error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime.kernels import _core

SHOW = """
from throughtime import kernels
from throughtime.kernels import core
from throughtime.spec.cells import LayerOptions
layer = core.layer(LayerOptions('LSTM', 5, (17,)), 0, 'float32')
print(kernels.isa(), layer.isa, layer.input_width)
work(kernels, 2)
"""
WIDTH = {"avx512": 4 * 32, "avx2": 4 * 24, "baseline": 4 * 20}
"""Four gates of 17 units, rounded up to 16, 8 and 4 lanes: what the width betrays cannot be a mere name."""


@pytest.mark.parametrize("name", WIDTH)
def test_each_can_be_forced(answer: Callable[..., str], name: str) -> None:
    if name not in _core.instruction_sets():
        pytest.skip(f"this machine does not run {name}")
    assert answer(SHOW, THROUGHTIME_ISA=name) == f"{name} {name} {WIDTH[name]}"


@pytest.mark.parametrize("unset", [None, ""])
def test_the_best_runs_where_none_is_forced(answer: Callable[..., str], unset: str | None) -> None:
    best = _core.instruction_sets()[0]
    assert answer(SHOW, THROUGHTIME_ISA=unset) == f"{best} {best} {WIDTH[best]}"


def test_each_has_kernels_of_its_own() -> None:
    outputs = []
    x = np.random.default_rng(0).uniform(-5, 5, 100_000).astype(np.float32)
    for name in _core.instruction_sets():
        outputs.append(np.empty_like(x))
        _core.LayerFloat32(0, 0, True, 1, 1, 1, name).activation(2, x, outputs[-1])
    for i, one in enumerate(outputs):
        for other in outputs[i + 1 :]:
            assert np.any(one != other), "roundings that never differ come from the same code"


@pytest.mark.parametrize("wrong", ["avx9", "AVX2", "baseline ", "sse"])
def test_a_wrong_name_is_an_error_that_names_the_right_ones(program: Callable[..., Any], wrong: str) -> None:
    done = program("from throughtime import kernels\nkernels.isa()", THROUGHTIME_ISA=wrong)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    names = ", ".join(_core.instruction_sets())
    assert last == (
        f"throughtime.spec.errors.OptionError: THROUGHTIME_ISA must be one of {names} on this machine, but is {wrong!r}"
    )
