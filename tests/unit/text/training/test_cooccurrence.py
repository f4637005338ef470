"""Vectors from co-occurrence: words of the same company get like vectors; held-out text plays no part."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from throughtime.spec.errors import DataError
from throughtime.spec.model import PreprocessingConfig
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.encoded import Corpus
from throughtime.text.tokenizing import TokenizerOptions
from throughtime.text.training import cooccurrence
from throughtime.text.training.cooccurrence import _one_thread, cooccurrence_vectors


def corpus_of(texts: list[str], held_out: list[str] | None = None) -> Corpus:
    labels = ["a" if row % 2 else "b" for row in range(len(texts))]
    validation = None if held_out is None else (held_out, ["a"] * len(held_out))
    return corpus_from_lists(
        texts,
        labels,
        validation=validation,
        validation_fraction=0.0,
        tokenizer=TokenizerOptions(min_count=1),
        preprocessing=PreprocessingConfig(max_tokens=100, cut="head"),
    )


@pytest.fixture
def texts() -> list[str]:
    """Two worlds of fillers; "cat" and "dog" live in one, "sun" in the other."""
    draw = np.random.default_rng(0)
    worlds = {"cat": "x", "dog": "x", "sun": "y"}
    rows = []
    for row in range(600):
        word = ["cat", "dog", "sun"][row % 3]
        company = [f"{worlds[word]}{number}" for number in draw.integers(0, 30, 8)]
        rows.append(" ".join([*company[:4], word, *company[4:]]))
    return rows


def cosine(corpus: Corpus, matrix: np.ndarray, one: str, other: str) -> float:
    a, b = (matrix[corpus.vocabulary.index(word)] for word in (one, other))
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_words_of_the_same_company_are_alike(texts: list[str]) -> None:
    corpus = corpus_of(texts)
    vectors = cooccurrence_vectors(corpus, size=8, seed=0)
    assert vectors.matrix.shape == (len(corpus.vocabulary), 8)
    assert cosine(corpus, vectors.matrix, "cat", "dog") > 0.9
    assert cosine(corpus, vectors.matrix, "cat", "sun") < 0.5
    assert vectors.matrix[vectors.found].std() == pytest.approx(1.0, abs=1e-3)
    assert not vectors.found[:2].any()


def test_they_factorise_the_association_as_well_as_an_exact_decomposition(texts: list[str]) -> None:
    from throughtime.text.training.cooccurrence import _association, _factor, _stretches

    corpus = corpus_of(texts)
    table = _association(_stretches(corpus, len(corpus.vocabulary)))[0]
    left = _factor(table, 8, np.random.default_rng(0))
    exact = np.linalg.svd(table.toarray().astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(left, axis=0) ** 2, exact[:8], rtol=0.02)


def test_company_is_the_pairs_of_one_stretch() -> None:
    from throughtime.text.training.cooccurrence import STRETCH, _company, _stretches

    late = " ".join(["f"] * STRETCH)
    corpus = corpus_of([f"a b a c {late}", "a z"])
    stretches = _stretches(corpus, len(corpus.vocabulary))
    table = _company(stretches, stretches.T.tocsr(), slice(0, None)).toarray()
    place = corpus.vocabulary.index
    assert table[place("a"), place("b")] == 2.0
    assert table[place("a"), place("a")] == 2.0
    assert table[place("b"), place("b")] == 0.0
    assert table[place("b"), place("f")] == STRETCH - 4
    assert table[place("f"), place("f")] == (STRETCH - 4) * (STRETCH - 5) + 4 * 3
    assert table[place("b"), place("z")] == 0.0
    np.testing.assert_array_equal(table, table.T)


def test_association_is_its_definition() -> None:
    from throughtime.text.training.cooccurrence import SMOOTHING, _association, _company, _stretches

    corpus = corpus_of(["a b a c d", "a z b", "c d c"])
    words = len(corpus.vocabulary)
    stretches = _stretches(corpus, words)
    counts = _company(stretches, stretches.T.tocsr(), slice(0, None)).toarray().astype(np.float64)
    of_word = counts.sum(axis=1) / counts.sum()
    of_context = counts.sum(axis=0) ** SMOOTHING / (counts.sum(axis=0) ** SMOOTHING).sum()
    expected = np.zeros_like(counts)
    for word, context in np.argwhere(counts > 0):
        together = counts[word, context] / counts.sum()
        expected[word, context] = max(0.0, np.log(together / (of_word[word] * of_context[context])))
    got = _association(_stretches(corpus, words))[0].toarray()
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_held_out_text_plays_no_part(texts: list[str]) -> None:
    one = cooccurrence_vectors(corpus_of(texts, ["cat y1 y2"] * 50), size=8, seed=0)
    other = cooccurrence_vectors(corpus_of(texts, ["sun x1 x2"] * 50), size=8, seed=0)
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_the_same_seed_gives_the_same_vectors(texts: list[str]) -> None:
    corpus = corpus_of(texts)
    one, other = (cooccurrence_vectors(corpus, size=8, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.matrix, other.matrix)


@pytest.mark.parametrize("size", [8, 30])
def test_any_number_of_threads_gives_the_same_vectors(size: int) -> None:
    """Each in a process of its own, as how many threads there are is settled when a library is loaded."""
    code = f"""
import hashlib
import numpy as np
from scipy import sparse
from throughtime.text.training.cooccurrence import _factor
draw = np.random.default_rng(0)
table = sparse.csr_matrix(np.maximum(draw.standard_normal((3000, 3000)), 0).astype(np.float32))
print(hashlib.sha256(_factor(table, {size}, np.random.default_rng(0)).tobytes()).hexdigest())
"""
    found = set()
    for threads in ("1", "2", "3"):
        environment = os.environ | {f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL")}
        found.add(subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout)
    assert len(found) == 1


def test_two_at_once_leave_the_threads_as_they_were() -> None:
    before, first_is_in, seen = torch.get_num_threads(), threading.Event(), list[int]()
    torch.set_num_threads(2)

    def block(seconds: float) -> None:
        with _one_thread():
            first_is_in.set()
            seen.append(torch.get_num_threads())
            time.sleep(seconds)

    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(block, 0.1)
            first_is_in.wait()
            second = pool.submit(block, 0.3)  # which ends last, and without care puts back what it found: 1
            first.result()
            second.result()
        with ThreadPoolExecutor(1) as pool:
            assert (seen, pool.submit(torch.get_num_threads).result()) == ([1, 1], 2)
    finally:
        torch.set_num_threads(before)


def test_threads_are_as_many_as_before(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    corpus = corpus_of(texts)
    cooccurrence_vectors(corpus, size=8, seed=0)
    assert torch.get_num_threads() == before
    monkeypatch.setattr(torch.linalg, "qr", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cooccurrence_vectors(corpus, size=8, seed=0)
    assert torch.get_num_threads() == before


def test_of_more_texts_than_are_counted_all_parts_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    texts = [" ".join(f"{kind}{n}" for n in draw.integers(0, 50, 20)) for kind in "ab" for _ in range(300)]
    corpus = corpus_of(texts)
    whole = cooccurrence_vectors(corpus, size=8, seed=0)
    monkeypatch.setattr(cooccurrence, "MOST_TOKENS", 12_000)
    np.testing.assert_array_equal(cooccurrence_vectors(corpus, size=8, seed=0).matrix, whole.matrix)
    monkeypatch.setattr(cooccurrence, "MOST_TOKENS", 5_000)
    part = cooccurrence_vectors(corpus, size=8, seed=0)
    for kind in "ab":
        assert all(part.found[place] for place, word in enumerate(corpus.vocabulary) if word.startswith(kind))
    np.testing.assert_array_equal(cooccurrence_vectors(corpus, size=8, seed=0).matrix, part.matrix)
    counted = cooccurrence._stretches(corpus, len(corpus.vocabulary)).sum()
    assert 5_000 <= counted < 5_020


def test_a_vocabulary_too_small_is_refused() -> None:
    with pytest.raises(DataError, match="larger than embedding_size"):
        cooccurrence_vectors(corpus_of(["a b", "b c"]), size=8, seed=0)
