"""Cases have names of their own and lengths as described; a wrong result is seen; reviews are as long as IMDB's."""

import numpy as np
import pytest
import torch

from benchmarks.cases import LayerCase, LayerShape, all_cases, choose
from benchmarks.contenders import CELL, LAYER, PACKED, PADDED, contenders
from benchmarks.problem import STREAM_CHECK, Problem, WrongResultError, check
from benchmarks.results import OURS
from benchmarks.reviews import lengths, reviews


def test_names_are_unique_and_their_beginnings_choose() -> None:
    for quick in (False, True):
        names = [case.name for case in all_cases(quick=quick)]
        assert len(names) == len(set(names))
    cases = all_cases(quick=True)
    assert choose(cases, []) == cases
    assert [case.name for case in choose(cases, ["prediction/cold", "training"])] == [
        "training/default/300-reviews-4-steps",
        "prediction/cold-start",
    ]
    inference = [case.name for case in choose(cases, ["layers/*/inference"])]
    assert len(inference) == sum("/inference/" in case.name for case in cases) > 0
    with pytest.raises(ValueError, match="'decoding'; cases begin with layers, variants, recompute, text-model, "):
        choose(cases, ["training", "decoding"])
    with pytest.raises(ValueError, match=r"did you mean layers/LSTM\? cases"):
        choose(cases, ["layers/LTSM"])


def test_operations_are_those_of_the_products_over_real_steps() -> None:
    equal, ragged = LayerShape(2, 12, 3, 5, ragged=False), LayerShape(2, 12, 3, 5, ragged=True, bidirectional=True)
    assert LayerCase("LSTM", "inference", equal).flops == 2 * 4 * 5 * (3 + 5) * 24
    assert LayerCase("GRU", "training", ragged).flops == 3 * 2 * 2 * 3 * 5 * (3 + 5) * 14


def test_ragged_lengths_fall_from_all_steps_to_a_sixth() -> None:
    assert LayerShape(6, 30, 1, 1, ragged=True).lengths == [30, 25, 20, 15, 10, 5]
    assert LayerShape(1, 12, 1, 1, ragged=True).lengths == [12]
    assert LayerShape(2, 3, 1, 1, ragged=True).lengths == [3, 1]
    assert LayerShape(3, 12, 1, 1, ragged=False).lengths == [12, 12, 12]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_contenders_do_the_same_work_and_an_error_in_it_is_seen(ragged: bool, bidirectional: bool) -> None:
    torch.set_num_threads(1)
    case = LayerCase("LSTM", "training", LayerShape(3, 6, 4, 5, ragged=ragged, bidirectional=bidirectional))
    chosen = contenders(Problem(case))
    assert list(chosen) == [OURS, PACKED] + ([] if ragged and bidirectional else [PADDED])
    expected = chosen[PACKED].result()
    assert len(expected) == 2 + 4 * (1 + bidirectional)
    for contender in chosen.values():
        check(contender.result(), expected, ours=True)
    for name, value in expected.items():
        wrong = {**expected, name: value + 1e-3}
        with pytest.raises(WrongResultError, match=name):
            check(chosen[OURS].result(), wrong, ours=True)
    with pytest.raises(WrongResultError, match="nan"):
        check({**expected, "output": expected["output"] * float("nan")}, expected, ours=True)
    with pytest.raises(WrongResultError, match="in place of"):
        check(chosen[OURS].result(), {"output": expected["output"]}, ours=True)
    with pytest.raises(WrongResultError, match="shape"):
        check({**expected, "output": expected["output"][:1]}, expected, ours=True)
    close = {**expected, "output": expected["output"] + 5e-5}
    assert check(close, expected, ours=False) == pytest.approx(5e-5, rel=0.01)
    with pytest.raises(WrongResultError, match="output"):
        check(close, expected, ours=True)


def test_inference_makes_no_gradients() -> None:
    torch.set_num_threads(1)
    problem = Problem(LayerCase("GRU", "inference", LayerShape(3, 6, 4, 5, ragged=True)))
    for contender in contenders(problem).values():
        result = contender.result()
        assert list(result) == ["output"]
        assert not result["output"].requires_grad


def test_streams_go_on_from_call_to_call_and_agree() -> None:
    torch.set_num_threads(1)
    problem = Problem(LayerCase("LSTM", "streaming", LayerShape(1, 1, 4, 5, ragged=False)))
    chosen = contenders(problem)
    assert list(chosen) == [OURS, LAYER, CELL]
    expected = chosen[LAYER].result()
    assert expected["output"].shape == (STREAM_CHECK, 1, 5)
    assert not torch.equal(expected["output"][0], expected["output"][1])
    for contender in chosen.values():
        contender()
        check(contender.result(), expected, ours=True)


def test_reviews_have_imdbs_lengths_in_whole_tokens_and_come_again() -> None:
    drawn = lengths(20_000, np.random.default_rng(0))
    assert np.median(drawn) == pytest.approx(200, abs=5)
    assert np.mean(drawn) == pytest.approx(268, abs=8)
    texts, labels = reviews(20)
    assert (texts, labels) == reviews(20)
    assert texts != reviews(20, seed=1)[0]
    assert labels[:3] == ["neg", "pos", "neg"]
    expected = lengths(20, np.random.default_rng(0))
    assert [len(text.split(" ")) for text in texts] == expected.tolist()
