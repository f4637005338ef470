"""The least time of a case counts what it says, and no more."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import limits
from benchmarks.cases import LayerCase, LayerShape, VariantCase, all_cases
from benchmarks.limits import Limits, least_time, rows
from benchmarks.machine import conditions
from benchmarks.results import OURS, Result, ResultsError, Run, save

# Products at 1 GF/s, everything else at once; then reads that are slow from 1,001 bytes on; then slow activations.
PRODUCTS = Limits(8, 2, 1e9, 1e30, 1e30, [(1 << 40, 1e30)])
READS = Limits(8, 2, 1e30, 1e30, 1e30, [(1_000, 1e30), (1_001, 1e3)])
SIGMOIDS = Limits(8, 2, 1e30, 10.0, 1e30, [(1 << 40, 1e30)])
TANHS = Limits(8, 2, 1e30, 1e30, 10.0, [(1 << 40, 1e30)])


def _case(**changes: object) -> LayerCase:
    shape = {"batch": 2, "steps": 6, "input_size": 3, "hidden_size": 5, "ragged": True, "bidirectional": False}
    work = changes.pop("work", "training")
    cell = changes.pop("cell", "LSTM")
    return LayerCase(cell, work, LayerShape(**(shape | changes)))  # type: ignore[arg-type]


def _first_step(case: LayerCase, passes: int) -> int:
    """Operations of the products with weight_hh that a state of zeros needs none of."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[case.cell]
    return passes * 2 * gates * 5 * 5 * 2 * (2 if case.shape.bidirectional else 1)


def test_products_take_their_operations() -> None:
    for case in (_case(), _case(bidirectional=True), _case(cell="GRU", ragged=False)):
        assert least_time(case, PRODUCTS) == pytest.approx((case.flops - _first_step(case, 3)) / 1e9)
    case = _case(work="inference")
    assert least_time(case, PRODUCTS) == pytest.approx((case.flops - _first_step(case, 1)) / 1e9)


def test_activations_are_those_of_the_forward_pass_over_real_tokens() -> None:
    tokens = 6 + 1
    assert least_time(_case(), SIGMOIDS) == pytest.approx(tokens * 5 * 3 / 10)
    assert least_time(_case(), TANHS) == pytest.approx(tokens * 5 * 2 / 10)
    assert least_time(_case(cell="GRU", bidirectional=True), SIGMOIDS) == pytest.approx(2 * tokens * 5 * 2 / 10)
    assert least_time(_case(cell="RNN", work="inference"), TANHS) == pytest.approx(tokens * 5 / 10)
    assert least_time(_case(cell="RNN"), SIGMOIDS) == pytest.approx(0)


def test_activations_and_products_may_overlap() -> None:
    both = Limits(8, 2, 1e9, 10.0, 1e30, [(1 << 40, 1e30)])
    assert least_time(_case(), both) == least_time(_case(), SIGMOIDS)


def test_recurrent_weights_are_read_at_each_step_but_the_first() -> None:
    large = {"hidden_size": 50, "ragged": False}
    assert least_time(_case(**large, work="inference"), READS) == pytest.approx(5 * 4 * 50 * 50 * 4 / 1e3)
    assert least_time(_case(**large), READS) == pytest.approx(2 * 5 * 4 * 50 * 50 * 4 / 1e3)
    # Half of them, 200 bytes, stays near each of two threads.
    assert least_time(_case(work="inference"), READS) == pytest.approx(0, abs=1e-20)


def test_a_size_between_two_that_were_measured_is_read_as_quickly_as_the_smaller() -> None:
    limits = Limits(8, 1, 1e30, 1e30, 1e30, [(100, 3.0), (200, 2.0), (400, 1.0)])
    assert [limits.read_rate(size) for size in (50, 100, 199, 200, 300, 500)] == [3.0, 3.0, 3.0, 2.0, 2.0, 1.0]


def test_each_streaming_step_reads_all_weights_from_where_one_step_finds_them() -> None:
    weights = 4 * 50 * (3 + 50) * 4  # bytes
    near_and_far = replace(READS, reads=[(weights // 2, 1e3), (weights, 10.0)])  # of two threads
    for steps in (1, 4):
        case = _case(work="streaming", batch=1, steps=steps, hidden_size=50, ragged=False)
        assert least_time(case, near_and_far) == pytest.approx(steps * weights / 1e3)


def test_a_row_says_what_share_is_reached_and_what_could_be() -> None:
    name = "layers/GRU/training/32x100x512x512-equal"
    case = next(c for c in all_cases(quick=False) if c.name == name)
    assert isinstance(case, LayerCase)
    least = least_time(case, PRODUCTS)
    samples = {OURS: [2 * least], "torch padded": [3 * least], "torch packed": [4 * least], "JAX": [least]}
    (row,) = rows([Result(name, "s", "lower", samples), Result("prediction/x", "s", "lower", {OURS: [1.0]})], PRODUCTS)
    assert row[0] == "GRU/training/32x100x512x512-equal"
    assert row[3:] == ["50%", "torch padded", "33%", "1.50", "3.00", "≥ 2"]


def test_a_ragged_training_stands_beside_what_its_goal_is_against() -> None:
    name = "layers/LSTM/training/32x256x128x128-ragged"
    samples = {OURS: [1.0], "torch padded": [2.0], "torch packed": [12.0]}
    (row,) = rows([Result(name, "s", "lower", samples)], PRODUCTS)
    assert row[4] == "torch packed"
    assert (row[6], row[8]) == ("12.00", "≥ 10")


def test_a_variant_counts_its_products_and_activations() -> None:
    (case,) = (c for c in all_cases(quick=True) if c.name.startswith("variants/LSTM-coupled_gates/"))
    assert isinstance(case, VariantCase)
    values = 16 * 4 * 12
    first = 3 * 2 * 3 * 16 * 16 * 4
    assert least_time(case, PRODUCTS) == pytest.approx((case.flops - first) / 1e9)
    assert least_time(case, SIGMOIDS) == pytest.approx(values * 2 / 10)


@pytest.mark.parametrize("name", ["cpu", "cpu_model", "cores", "instruction_set"])
def test_a_run_of_another_machine_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = tmp_path / "run.json"
    here = conditions()
    there = (
        here | {"machine": here["machine"] | {name: "an abacus"}}
        if name in here["machine"]
        else here | {name: "an abacus"}
    )
    save(Run(there, []), path)
    assert limits.main([str(path)]) == 2
    assert "an abacus" in capsys.readouterr().err
    assert limits.main([str(tmp_path / "none.json")]) == 2


def test_what_does_not_compile_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_ROOT", tmp_path)
    with pytest.raises(ResultsError, match=r"cmake.* failed|cmake: "):
        limits.measure(2, tmp_path / "build")


def test_a_run_without_layers_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    monkeypatch.setattr(limits, "measure", lambda threads: PRODUCTS)
    save(Run(conditions(), [Result("prediction/x", "s", "lower", {OURS: [1.0]})]), path)
    assert limits.main([str(path)]) == 2
    assert "has no layers or variants of full size" in capsys.readouterr().err
    save(Run(conditions(), [Result("layers/LSTM/training/32x256x128x128-equal", "s", "lower", {OURS: [1.0]})]), path)
    assert limits.main([str(path)]) == 0
    slow = capsys.readouterr().out
    assert "1.0 GF/s of multiply-adds" in slow
    assert limits.main([str(path), "--gflops", "100"]) == 0
    quick = capsys.readouterr().out
    assert "1.0 GF/s of multiply-adds" in quick
    assert _least(quick) == pytest.approx(_least(slow) / 100, rel=0.1)
    assert limits.main([str(path), "--gflops", "0.1"]) == 0
    assert capsys.readouterr().out == slow


def test_a_key_that_only_one_of_two_machines_knows_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "measure", lambda threads: PRODUCTS)
    here = conditions()
    older = {key: value for key, value in here["machine"].items() if key != "cpu_model"}
    result = Result("layers/LSTM/training/32x256x128x128-equal", "s", "lower", {OURS: [1.0]})
    save(Run(here | {"machine": older}, [result]), tmp_path / "run.json")
    assert limits.main([str(tmp_path / "run.json")]) == 0


def _least(printed: str) -> float:
    number, unit = printed.splitlines()[-1].split("|")[2].split()
    return float(number) * {"s": 1.0, "ms": 1e-3, "µs": 1e-6}[unit]


@pytest.mark.skipif(shutil.which("cmake") is None or shutil.which("c++") is None, reason="no compiler here")
def test_the_limits_of_this_machine_are_measured(tmp_path: Path) -> None:
    found = limits.measure(1, tmp_path / "build")
    assert found.threads == 1
    assert found.lanes in (4, 8, 16)
    # A core of today, and no result that the compiler left out.
    assert 1e9 < found.flops < 1e12
    assert all(1e7 < rate < 1e11 for rate in (found.sigmoids, found.tanhs))
    assert [size for size, _ in found.reads] == [1 << power for power in range(14, 26)]
    assert all(1e8 < rate < 1e12 for _, rate in found.reads)
