"""Contenders in other processes: their answers, their failures, and how a case goes on without them."""

from importlib.metadata import version

import pytest
import torch

from benchmarks.cases import LayerCase, LayerShape
from benchmarks.contenders import PACKED, PADDED
from benchmarks.external import ContenderError, Library, workers
from benchmarks.layers import measure_layer
from benchmarks.problem import Problem, check
from benchmarks.results import OURS

ECHO = Library("echo", "tests.unit.benchmarks.echo_worker", None)
ABSENT = Library("absent", "benchmarks.workers.none", "no-such-environment")
STATELESS = Library("does not train", "tests.unit.benchmarks.echo_worker", None, trains=False)


def _case(hidden_size: int, *, ragged: bool = True) -> LayerCase:
    return LayerCase("RNN", "inference", LayerShape(2, 6, 4, hidden_size, ragged=ragged))


@pytest.mark.parametrize("ragged", [False, True])
def test_a_worker_computes_and_takes_times_whatever_it_prints(ragged: bool) -> None:
    problem = Problem(_case(5, ragged=ragged))
    layer = problem.reference
    with torch.no_grad():
        expected = {"output": layer(problem.x)[0].masked_fill(problem.padding, 0.0)}
    with workers((ECHO,)) as running:
        worker = running.worker(ECHO)
        external = worker.prepare(problem)
        assert check(external.result(), expected, ours=False) < 1e-6
        assert external.seconds(3) > 0
        assert running.versions() == {"echo": {"numpy": version("numpy")}}


def test_failures_are_told_and_a_process_that_has_not_ended_goes_on() -> None:
    with workers((ECHO,)) as running:
        with pytest.raises(ContenderError, match="ValueError: seven is too much"):
            running.worker(ECHO).prepare(Problem(_case(7)))
        assert running.worker(ECHO).prepare(Problem(_case(5))).seconds(1) > 0
        with pytest.raises(ContenderError, match="ended: no more"):
            running.worker(ECHO).prepare(Problem(_case(8)))
        assert running.worker(ECHO).prepare(Problem(_case(5))).seconds(1) > 0


def test_a_case_goes_on_without_who_is_wrong_or_absent_and_says_so() -> None:
    torch.set_num_threads(1)
    failed: list[str] = []
    with workers((ECHO, ABSENT)) as running:
        assert running.absent == ["absent"]
        right = measure_layer(_case(5), repeats=1, workers=running, fail=failed.append)
        wrong = measure_layer(_case(6), repeats=1, workers=running, fail=failed.append)
    assert list(right.samples) == [OURS, PACKED, PADDED, "echo"]
    assert right.facts["left_out"] == {"absent": "its environment is not there"}
    assert right.facts["differences"]["echo"] < 1e-6
    assert list(wrong.samples) == [OURS, PACKED, PADDED]
    assert "output differs" in wrong.facts["left_out"]["echo"]
    assert len(failed) == 1
    assert failed[0].startswith("layers/RNN/inference/2x6x4x6-ragged: echo: output differs")


def test_who_does_not_train_is_left_out_of_training_without_a_failure() -> None:
    torch.set_num_threads(1)
    failed: list[str] = []
    case = LayerCase("RNN", "training", LayerShape(2, 6, 4, 5, ragged=True))
    with workers((STATELESS,)) as running:
        result = measure_layer(case, repeats=1, workers=running, fail=failed.append)
    assert not failed
    assert result.facts["left_out"] == {"does not train": "does not train"}
