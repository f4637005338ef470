"""Any texts and labels, whatever their characters and lengths, pass through reading, the corpus and prediction."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from throughtime.runtime import Predictor
from throughtime.spec.errors import DataError, OptionError
from throughtime.spec.model import PreprocessingConfig
from throughtime.text.corpus import build_corpus
from throughtime.text.reading import open_source
from throughtime.text.splitting import TRAIN
from throughtime.text.tokenizing import TokenizerOptions

ANY = st.characters(exclude_categories=[])
IN_A_FILE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
WORDS = ["good", "film", "bad", "[PAD]", "[UNK]", "<br />", "don’t", "电影", "\u200d", "İ", "ﬁ", "e\u0301", "\ufeff"]


def texts(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Empty, short, words that mean something to a tokenizer, and long ones."""
    words = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
    long = st.builds(lambda text, times: text * times, st.text(characters, max_size=5), st.integers(0, 2000))
    return st.one_of(st.just(""), st.text(characters), words, st.builds(str.__add__, words, st.text(characters)), long)


def rows(characters: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, str]]]:
    """Rows of (text, label): two to four labels of any characters, in any number."""
    label = st.text(characters, min_size=1, max_size=8).filter(lambda name: bool(name.strip()))
    return st.lists(label, min_size=2, max_size=4, unique_by=str.strip).flatmap(
        lambda names: st.lists(st.tuples(texts(characters), st.sampled_from(names)), min_size=1, max_size=30)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@pytest.fixture(scope="module")
def predictor(trained: Path) -> Predictor:
    return Predictor.load(trained)


def through(path: Path, expected: list[tuple[str, str]], kind: str, predictor: Predictor) -> None:
    """Reads what was written, builds a corpus of it and predicts its texts."""
    options = TokenizerOptions(kind, vocabulary_size=500, min_count=1)  # type: ignore[arg-type]
    preprocessing = PreprocessingConfig(max_tokens=20, cut="head+tail")
    try:
        read = [row for b in open_source(str(path)).rows(7) for row in zip(b.texts, b.labels or [], strict=True)]
        assert read == [(text, label.strip()) for text, label in expected]
        corpus = build_corpus(
            open_source(str(path)), tokenizer=options, preprocessing=preprocessing, validation_fraction=0.2,
            cache_dir=path.parent / "cache",
        )  # fmt: skip
    except (DataError, OptionError) as error:
        assert "\n" not in str(error)
        assert len(str(error)) < 1500
    else:
        assert set(corpus.classes) == {label.strip() for _, label in expected}
        assert len(corpus.lengths) == len(expected)
        assert corpus.lengths.max() <= 20
        assert corpus.ids.min() >= 1
        assert corpus.ids.max() < len(corpus.vocabulary)
        assert (corpus.lengths[corpus.rows(TRAIN)] > 0).all()
        assert corpus.facts["empty_texts"] >= sum(not text.strip() for text, _ in expected)
    given_texts = [text for text, _ in expected]
    probabilities = predictor.predict_proba(given_texts)
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1)
    prior = list(predictor.config.prior)
    for text, row in zip(given_texts, probabilities, strict=True):
        if not text.strip():
            assert row.tolist() == prior
    single = np.concatenate([predictor.predict_proba([text]) for text in given_texts[:3]])
    assert np.allclose(single, probabilities[:3], rtol=0, atol=1e-6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(rows(IN_A_FILE), st.sampled_from(["words", "characters", "bpe"]))
def test_csv(folder: Path, predictor: Predictor, content: list[tuple[str, str]], kind: str) -> None:
    with (folder / "d.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *content])
    through(folder / "d.csv", content, kind, predictor)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(rows(ANY), st.sampled_from(["words", "characters", "bpe"]))
def test_json_lines(folder: Path, predictor: Predictor, content: list[tuple[str, str]], kind: str) -> None:
    """Lone surrogates and NULs, which JSON can write, included."""
    lines = [json.dumps({"text": text, "label": label}) + "\n" for text, label in content]
    (folder / "d.jsonl").write_text("".join(lines), encoding="utf-8")
    through(folder / "d.jsonl", content, kind, predictor)
