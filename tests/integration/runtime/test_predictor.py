"""A model directory in use: order, batches, types, odd texts."""

import copy
import pickle
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import throughtime
from throughtime import kernels
from throughtime.runtime import Predictor, model_dir, predictor
from throughtime.runtime.predictor import typed_label
from throughtime.spec.errors import DataError, ModelError, OptionError
from throughtime.spec.tolerances import PROBABILITY


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, write_model: Any) -> Predictor:
    path = tmp_path_factory.mktemp("models") / "model"
    write_model(path, ("neg", "neutral", "pos"))
    return Predictor.load(path)


def random_texts(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    words = ["good", "bad", "film", "unheard", "not", "!"]
    return [" ".join(rng.choice(words, rng.integers(0, 60))) for _ in range(count)]


def test_it_is_the_packages_own_name() -> None:
    assert throughtime.Predictor is Predictor


def test_it_says_what_it_is(loaded: Predictor) -> None:
    assert repr(loaded) == "Predictor(LSTM [3], vocabulary of 17, labels ['neg', 'neutral', 'pos'])"


def test_results_come_in_the_order_of_the_texts(loaded: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = random_texts(300)
    alone = np.concatenate([loaded.predict_proba([text]) for text in texts])
    monkeypatch.setattr(predictor, "_TOKENS_AT_ONCE", 100)  # many batches
    np.testing.assert_allclose(loaded.predict_proba(texts), alone, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)
    np.testing.assert_allclose(alone.sum(axis=1), 1, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)
    assert loaded.predict(texts) == [loaded.labels[best] for best in alone.argmax(axis=1)]


def test_a_text_without_tokens_gets_the_prior(loaded: Predictor) -> None:
    np.testing.assert_allclose(loaded.predict_proba(["", " \t\n"]), [loaded.config.prior] * 2)
    assert loaded.predict([""]) == ["pos"]


def test_no_texts(loaded: Predictor) -> None:
    assert loaded.predict_proba([]).shape == (0, 3)
    assert loaded.predict([]) == []


@pytest.mark.parametrize(
    ("texts", "found"), [("good", "one string"), (b"good", "one string"), (None, "NoneType"), (3, "int")]
)
def test_one_string_is_no_list_of_texts(loaded: Predictor, texts: Any, found: str) -> None:
    with pytest.raises(DataError, match=found):
        loaded.predict(texts)


@pytest.mark.parametrize(
    "table", [{"text": ["good", "bad"]}, types.MappingProxyType({}), types.SimpleNamespace(columns=["text"])]
)
def test_a_table_is_no_list_of_texts(loaded: Predictor, table: Any) -> None:
    kind = type(table).__name__
    with pytest.raises(DataError, match=rf"is a {kind}: give its column of texts, as in data\['text'\]"):
        loaded.predict(table)


@pytest.mark.parametrize("at_once", [0, -1, 2.5, None, True, "3"])
def test_a_portion_has_at_least_one_text(loaded: Predictor, at_once: Any) -> None:
    with pytest.raises(OptionError, match="at_once must be an integer of at least 1, but is"):
        loaded.stream(["good"], at_once=at_once)


def test_a_copy_predicts_the_same(loaded: Predictor) -> None:
    texts = random_texts(20)
    for other in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded), copy.copy(loaded)):
        np.testing.assert_array_equal(other.predict_proba(texts), loaded.predict_proba(texts))
        assert repr(other) == repr(loaded)


@pytest.mark.parametrize("wrong", [None, 1, b"good", float("nan")])
def test_what_is_no_text_is_named(loaded: Predictor, wrong: Any) -> None:
    with pytest.raises(DataError, match=f"text 1 must be a string, but is {type(wrong).__name__}"):
        loaded.predict(["good", wrong])


def test_a_stream_is_read_in_portions(loaded: Predictor) -> None:
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield "good film"

    portions = loaded.stream(endless(), at_once=3)
    for number in range(1, 4):
        texts, probabilities = next(portions)
        assert (len(texts), probabilities.shape) == (3, (3, 3))
        assert asked == 3 * number
    long = loaded.stream(["a" * (1 << 22)] * 5)
    assert [len(texts) for texts, _ in long] == [2, 2, 1]


def test_a_stream_may_read_ahead(loaded: Predictor) -> None:
    texts = random_texts(100)
    asked = 0

    def asking() -> Iterator[str]:
        nonlocal asked
        for text in texts:
            asked += 1
            yield text

    portions = loaded.stream(asking(), at_once=30, ahead=True)
    first = next(portions)
    assert asked == 60
    results = [first, *portions]
    assert [len(portion) for portion, _ in results] == [30, 30, 30, 10]
    assert [text for portion, _ in results for text in portion] == texts
    probabilities = np.concatenate([p for _, p in results])
    np.testing.assert_allclose(probabilities, loaded.predict_proba(texts), rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)


@pytest.mark.parametrize("ahead", [True, False])
def test_an_error_of_the_source_comes_after_what_was_read_before_it(loaded: Predictor, ahead: bool) -> None:
    def failing() -> Iterator[str]:
        yield from ["good film"] * 6
        raise OSError("gone")

    answers = loaded.stream(failing(), at_once=3, ahead=ahead)
    assert [len(next(answers)[0]), len(next(answers)[0])] == [3, 3]
    with pytest.raises(OSError, match="gone"):
        next(answers)


@pytest.mark.parametrize("tokens_at_once", [40, 100, 1 << 14])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_and_threads_change_nothing(
    loaded: Predictor, threads: int, tokens_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random_texts(300)
    whole = loaded.predict_proba(texts)
    monkeypatch.setattr("throughtime.kernels.core.available_threads", lambda: threads)
    monkeypatch.setattr(predictor, "_TOKENS_AT_ONCE", tokens_at_once)
    monkeypatch.setattr(predictor, "_TEXTS_AT_ONCE", 70)
    again = loaded.predict_proba(texts)
    if kernels.available():
        np.testing.assert_array_equal(again, whole)
    np.testing.assert_allclose(again, whole, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)


@given(st.lists(st.text(alphabet=st.characters(codec=None, categories=None)), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gets_probabilities(loaded: Predictor, texts: list[str]) -> None:
    probabilities = loaded.predict_proba(texts)
    assert probabilities.shape == (len(texts), 3)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)


def test_labels_come_back_as_they_were() -> None:
    assert typed_label("7", "int") == 7
    assert typed_label("1.0", "float") == 1.0
    assert typed_label("True", "bool") is True
    assert typed_label("False", "bool") is False
    assert typed_label("7", "str") == "7"
    with pytest.raises(ModelError, match="label 'x' of the model is no int"):
        typed_label("x", "int")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, write_model: Any, tokenizer_json: str) -> None:
    config, tensors = write_model(tmp_path / "one")
    larger = tokenizer_json.replace('"good":', '"extra":17,"good":')
    model_dir.write_model_directory(tmp_path / "two", config, tensors, larger, {}, [], "")
    with pytest.raises(
        ModelError, match=r"model directory .*two: tokenizer\.json has 18 tokens, but the model was trained for 17"
    ):
        Predictor.load(tmp_path / "two")
