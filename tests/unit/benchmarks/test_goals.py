"""Goals are judged by the right contender and the right way round; lost cases are all listed."""

from benchmarks.contenders import CELL, LAYER, PACKED, PADDED
from benchmarks.external import COMPILED_LOOP
from benchmarks.goals import goal_tables, goals, slower
from benchmarks.recomputation import WITHOUT
from benchmarks.results import OURS, Result
from benchmarks.table import contests, result_tables
from benchmarks.variants import LOOP, PLAIN

RAGGED = "layers/LSTM/training/32x256x128x128-ragged"
EQUAL = "layers/GRU/training/32x256x128x128-equal"


def _seconds(case: str, ours: float, **others: float) -> Result:
    samples = {OURS: [ours], **{name.replace("_", " "): [value] for name, value in others.items()}}
    return Result(case, "s", "lower", samples, {"flops": 3e9})


def test_ragged_training_is_judged_against_packed_and_the_rest_against_torchs_best() -> None:
    ragged = _seconds(RAGGED, 1.0, torch_packed=11.0, torch_padded=3.0)
    equal = _seconds(EQUAL, 1.0, torch_packed=9.0, torch_padded=2.1, JAX=1.5)
    stream = _seconds("layers/RNN/streaming/1x1x128x128-equal", 1.0, torch_layer=9.0, torch_cell=3.5)
    found = goals([ragged, equal, stream])
    assert [(g.against, g.measured, g.wanted, g.met) for g in found] == [
        (PACKED, "11.00", "≥ 10", True),
        (PADDED, "2.10", "≥ 2.2", False),
        (CELL, "3.50", "≥ 3", True),
    ]
    assert LAYER in stream.others


def test_what_has_no_goal_has_none() -> None:
    assert goals([_seconds("layers/LSTM/training/4x24x16x16-ragged", 1.0, torch_packed=0.5)]) == []
    assert goals([Result("layers/LSTM/training/32x256x128x128-ragged", "s", "lower", {OURS: [1.0]})]) == []


def test_rates_and_single_figures_are_judged_the_right_way_round() -> None:
    rates = {OURS: [600.0], PACKED: [100.0], PADDED: [400.0]}
    model = Result("text-model/default/9-reviews/tokens-a-second", "tokens/s", "higher", rates)
    fast = Result("prediction/10-reviews/stream", "texts/s", "higher", {OURS: [1500.0]})
    late = Result("prediction/10-reviews/one-text-alone", "s", "lower", {OURS: [0.003]})
    watch = Result("training/default/9-reviews-3-steps/gradient-flow-share", "%", "lower", {OURS: [1.5]})
    assert [(g.measured, g.met) for g in goals([model, fast, late, watch])] == [
        ("6.00", True),
        ("1.50", False),
        ("1,500 texts/s", True),
        ("3 ms", False),
        ("1.5 %", True),
    ]


def test_every_faster_contender_is_listed() -> None:
    results = [_seconds(EQUAL, 1.0, torch_packed=9.0, JAX=0.5, Keras=0.9), _seconds(RAGGED, 1.0, torch_packed=2.0)]
    assert slower(results) == [(EQUAL, "JAX", 0.5), (EQUAL, "Keras", 0.9)]
    assert " JAX |" in goal_tables(results)
    assert "No contender is faster" in goal_tables(results[1:])
    assert goal_tables([Result("cold", "s", "lower", {OURS: [1.0]})]) == ""


def test_tables_have_a_column_a_contender_and_a_table_a_kind_of_work() -> None:
    training = [_seconds(EQUAL, 1.0, torch_packed=9.0), _seconds(RAGGED, 1.5, torch_packed=3.0, JAX=6.0)]
    alone = Result("prediction/cold-start/help", "s", "lower", {OURS: [0.25]})
    assert list(contests([*training, alone])) == ["training"]
    first, second = result_tables([*training, alone]).split("\n\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.splitlines()]
    assert cells[0] == ["case", OURS, "GF/s", "× torch packed", "× JAX"]
    assert cells[2] == [EQUAL, "1 s ± 0%", "3", "9.00", "–"]
    assert cells[3] == [RAGGED, "1.5 s ± 0%", "2", "2.00", "4.00"]
    assert "250 ms" in second


def test_a_variant_is_judged_against_the_plain_layer_and_both_loops() -> None:
    long = "variants/LSTM-zoneout/training/32x256x128x128-equal"
    short = "variants/GRU-layer_norm/training/1x100x128x128-equal"
    results = [
        _seconds(long, 1.0, plain_layer=0.66, torch_loop=4.0, torch_loop_compiled=1.4),
        _seconds(short, 1.0, plain_layer=0.7, torch_loop=9.0),
        _seconds("variants/MinGRU/training/1x100x128x128-equal", 1.0, torch_loop=0.5),
    ]
    assert [(g.against, g.measured, g.wanted, g.met) for g in goals(results)] == [
        (PLAIN, "1.52 × it", "≤ 1.5 × it", False),
        (LOOP, "4.00", "≥ 4", True),
        (COMPILED_LOOP, "1.40", "≥ 1.5", False),
        (PLAIN, "1.43 × it", "≤ 1.5 × it", True),
        (LOOP, "9.00", "≥ 10", False),
    ]
    assert slower(results) == [(results[2].case, LOOP, 0.5)]
    assert list(contests(results)) == ["variants"]


def test_recomputation_is_judged_by_memory_and_time() -> None:
    case = "recompute/LSTM/training/16x4096x16x128-equal"
    memory = Result(f"{case}/peak-memory", "MB", "lower", {OURS: [60.0], WITHOUT: [290.0]})
    seconds = Result(f"{case}/seconds", "s", "lower", {OURS: [1.5], WITHOUT: [1.0]})
    whole = Result(f"{case}/whole-process", "MB", "lower", {OURS: [300.0], WITHOUT: [600.0]})
    assert [(g.measured, g.wanted, g.met) for g in goals([memory, seconds, whole])] == [
        ("4.83", "≥ 5", False),
        ("1.50 × it", "≤ 1.5 × it", True),
    ]
    assert slower([seconds]) == []
    assert "No contender" not in goal_tables([memory, seconds])
