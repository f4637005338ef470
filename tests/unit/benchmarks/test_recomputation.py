"""Recomputation is measured process by process; a change of the numbers is seen."""

from typing import Any

import pytest
import torch

from benchmarks import recomputation
from benchmarks.cases import LayerShape, RecomputeCase
from benchmarks.problem import WrongResultError
from benchmarks.recomputation import WITHOUT, measure_recomputation
from benchmarks.results import OURS


def test_processes_with_and_without_are_measured_and_with_needs_less() -> None:
    results = measure_recomputation(RecomputeCase(LayerShape(8, 2000, 4, 64, ragged=False)), repeats=1)
    memory, seconds, whole = results
    assert [(result.case.split("/")[-1], result.unit) for result in results] == [
        ("peak-memory", "MB"),
        ("seconds", "s"),
        ("whole-process", "MB"),
    ]
    assert all(list(result.samples) == [OURS, WITHOUT] for result in results)
    assert memory.advantage(WITHOUT) > 2
    assert min(seconds.median(OURS), seconds.median(WITHOUT)) > 0
    assert whole.median(WITHOUT) > memory.median(WITHOUT)


def test_numbers_that_recomputation_changes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recomputation.training_pass

    def wrong(layer: Any, x: torch.Tensor) -> torch.Tensor:
        state = whole(layer, x)
        if layer.recompute:
            layer.bias_hh_l0.grad += 1e-3
        return state

    monkeypatch.setattr(recomputation, "training_pass", wrong)
    with pytest.raises(WrongResultError, match="bias_hh_l0"):
        measure_recomputation(RecomputeCase(LayerShape(2, 20, 4, 8, ragged=False)), repeats=1)
