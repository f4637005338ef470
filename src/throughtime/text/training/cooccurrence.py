"""Word vectors from the training texts themselves: a factorisation of what stands near what.

A recurrent model that starts from random vectors learns a rare word's meaning from the few labels it meets. Which words
stand in the same company is known without labels, and from the same texts, in seconds.

Source: positive pointwise mutual information with context-distribution smoothing and symmetric eigenvalue weighting,
Levy, Goldberg & Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings", sections
2.1 and 3; factorised by randomised subspace iteration, Halko, Martinsson & Tropp 2011, algorithm 4.4.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from throughtime.spec.errors import DataError
from throughtime.spec.model import UNKNOWN_ID
from throughtime.text.encoded import Corpus
from throughtime.text.splitting import TRAIN

STRETCH: Final = 25
"""Tokens of a text that are each other's company. Narrow company (5 words to each side) tells what kind of word a word
is; wide company also tells what it is about, and whether it praises. Held-out film reviews were judged best from 25, by
a linear classifier on the mean of such vectors; 5 to each side, 50 and 100 were worse."""
SMOOTHING: Final = 0.75
"""Exponent of the context distribution: rare contexts weigh less than their own count would have them."""
LARGEST_VOCABULARY: Final = 50_000
"""Rows that take part; rarer words have too little company, and the table would outgrow memory."""
MOST_TOKENS: Final = 8_000_000
"""Training tokens that are counted, of texts drawn from all; more would take memory and time, and better little."""
_OVERSAMPLING: Final = 10
_ITERATIONS: Final = 3
_WORDS_AT_ONCE: Final = 1000
_ALONE: Final = threading.Lock()


@dataclass(frozen=True)
class CooccurrenceVectors:
    """matrix: (vocabulary, size) float32 with standard deviation 1; found: (vocabulary,), which rows have a vector."""

    matrix: NDArray[np.float32]
    found: NDArray[np.bool_]


def enough_words(corpus: Corpus, size: int) -> bool:
    """Whether the vocabulary is large enough for `cooccurrence_vectors` of this size."""
    return min(len(corpus.vocabulary), LARGEST_VOCABULARY) > size + _OVERSAMPLING


def cooccurrence_vectors(corpus: Corpus, *, size: int, seed: int) -> CooccurrenceVectors:
    """Vectors of the corpus's vocabulary, from its training rows alone.

    Raises:
        DataError: the vocabulary is smaller than `size`, so that there is nothing to factorise.
    """
    words = min(len(corpus.vocabulary), LARGEST_VOCABULARY)
    if not enough_words(corpus, size):
        raise DataError(
            f"encoder.embedding_init: cooccurrence needs a vocabulary larger than embedding_size + {_OVERSAMPLING}, "
            f"but the training texts give {words} tokens for size {size}; use embedding_init: random"
        )
    table, found = _association(_stretches(corpus, words, seed))
    found = np.concatenate([found, np.zeros(len(corpus.vocabulary) - words, np.bool_)])
    matrix = np.zeros((len(corpus.vocabulary), size), dtype=np.float32)
    matrix[:words] = _factor(table, size, np.random.default_rng([seed, size]))
    matrix[~found] = 0.0  # what rounding left there
    spread = float(matrix[found].std()) if found.any() else 1.0
    return CooccurrenceVectors(matrix / max(spread, 1e-12), found)


def _stretches(corpus: Corpus, words: int, seed: int = 0) -> sparse.csr_matrix:
    """(stretches, words): how often each known word stands in each stretch of a training text.

    Of more than MOST_TOKENS, texts are drawn: files are often in order of classes, of which the first texts hold few.

    The rows come in order, so the table is laid out as it is read; 8-byte numbers a token would double the memory.
    """
    rows = corpus.rows(TRAIN)
    if corpus.lengths[rows].sum(dtype=np.int64) > MOST_TOKENS:
        drawn = np.random.default_rng([seed, MOST_TOKENS]).permutation(rows)
        enough = int(np.searchsorted(np.cumsum(corpus.lengths[drawn], dtype=np.int64), MOST_TOKENS)) + 1
        rows = np.sort(drawn[:enough])
    ids = np.concatenate([corpus.tokens(int(row)) for row in rows])
    corpus.release(len(rows))
    sizes = [np.diff([*range(0, n, STRETCH), n]) for n in corpus.lengths[rows].tolist() if n]
    known = (ids > UNKNOWN_ID) & (ids < words)
    ends = np.cumsum(known, dtype=np.int32)[np.cumsum(np.concatenate(sizes)) - 1]
    ids = ids[known]
    ends = np.concatenate([np.zeros(1, np.int32), ends])
    counts = sparse.csr_matrix((np.ones(len(ids), np.float32), ids, ends), shape=(len(ends) - 1, words))
    counts.sum_duplicates()
    return counts


def _company(stretches: sparse.csr_matrix, by_word: sparse.csr_matrix, words: slice) -> sparse.csr_matrix:
    """Rows `words` of the (words, words) symmetric counts of standing in one stretch; `by_word` is its transpose."""
    company = (by_word[words] @ stretches).tocsr()
    # No word is its own company where it stands once: n occurrences are n² − n pairs.
    times = np.asarray(by_word[words].sum(axis=1)).ravel()
    company.setdiag(company.diagonal(words.start) - times, k=words.start)
    company.eliminate_zeros()
    return company


def _association(stretches: sparse.csr_matrix) -> tuple[sparse.csr_matrix, NDArray[np.bool_]]:
    """The table (words, words), and which words have company.

    A cell is max(0, ln p(w, c) / (p(w) p_s(c))), with p_s(c) ∝ count(c)^SMOOTHING. The counts of all pairs are some
    hundred megabytes, and several tables of that size would be alive together: hence some words at a time.
    """
    by_word = stretches.T.tocsr()
    of_stretch = np.asarray(stretches.sum(axis=1), dtype=np.float64).ravel()
    counts = by_word @ of_stretch - np.asarray(stretches.sum(axis=0), dtype=np.float64).ravel()
    smoothed = counts**SMOOTHING
    smoothed /= max(float(smoothed.sum()), 1e-300)
    with np.errstate(divide="ignore"):  # words without company stand in no cell of the table
        of_word, of_context = np.log(counts).astype(np.float32), np.log(smoothed).astype(np.float32)
    parts = []
    for start in range(0, len(counts), _WORDS_AT_ONCE):
        words = slice(start, start + _WORDS_AT_ONCE)
        part = _company(stretches, by_word, words)
        np.log(part.data, out=part.data)
        part.data -= np.repeat(of_word[words], np.diff(part.indptr))
        part.data -= of_context[part.indices]
        np.maximum(part.data, 0.0, out=part.data)
        part.eliminate_zeros()
        part.prune()
        parts.append(part)
    return sparse.vstack(parts, format="csr"), counts > 0


def _factor(table: sparse.csr_matrix, size: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """U √S of the leading `size` singular triples of `table`: (words, size)."""
    start = generator.standard_normal((table.shape[1], size + _OVERSAMPLING)).astype(np.float32)
    with _one_thread():
        basis = _orthonormal(table @ start)
        for _ in range(_ITERATIONS):
            basis = _orthonormal(table.T @ basis)
            basis = _orthonormal(table @ basis)
        left, values, _ = torch.linalg.svd(_tensor((table.T @ basis).T), full_matrices=False)
        vectors: Tensor = (_tensor(basis) @ left[:, :size]) * values[:size].sqrt()
        result: NDArray[np.float32] = vectors.numpy()
    return result


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch's linear algebra on one thread: how many share it decides its last bits, and of matrices as tall and narrow
    as these, two are slower. NumPy's would need a library more to be told so. The number is the whole process's: one
    fit at a time, or the second would put back the first one's.
    """
    with _ALONE:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _orthonormal(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    basis: NDArray[np.float32] = torch.linalg.qr(_tensor(columns))[0].numpy()
    return basis


def _tensor(matrix: NDArray[np.float32]) -> Tensor:
    """A copy, which lies as torch lays it out: where a matrix begins may decide last bits, too."""
    return torch.from_numpy(matrix).clone(memory_format=torch.contiguous_format)
