"""Batches of texts of about the same length, and their padded arrays."""

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.errors import OptionError
from throughtime.spec.model import PAD_ID

if TYPE_CHECKING:
    from throughtime.text.encoded import Corpus

_BATCHES_SORTED_TOGETHER: Final = 100
"""Enough that lengths in a batch are nearly equal, few enough that epochs differ in who meets whom."""


class BucketBatches:
    """Divides rows into batches of like length; a deterministic function of (seed, epoch), so that a run can resume.

    Args:
        lengths: (rows of the corpus,), tokens of each row.
        indices: rows to use.
        batch_size: rows a batch; the last one may be smaller.
        seed: of the order.
        shuffle: False gives the same batches each epoch, all rows sorted by length.
    Raises:
        OptionError: batch_size below 1, or a negative seed.
    """

    def __init__(
        self,
        lengths: NDArray[np.int32],
        indices: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
    ) -> None:
        if batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, but is {batch_size}")
        if seed < 0:
            raise OptionError(f"seed must be at least 0, but is {seed}")
        self._indices = np.asarray(indices, dtype=np.int64)
        self._lengths = np.asarray(lengths)[self._indices]
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self._indices) // self._batch_size)

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Batches of epoch `number` (from 0), each an array of rows; together every row once."""
        if not self._shuffle:
            order = np.argsort(self._lengths, kind="stable")
            return self._cut(order)
        generator = np.random.Generator(np.random.PCG64([self._seed, number]))
        order = generator.permutation(len(self._indices))
        together = _BATCHES_SORTED_TOGETHER * self._batch_size
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), together):
            chunk = order[start : start + together]
            batches += self._cut(chunk[np.argsort(self._lengths[chunk], kind="stable")])
        return [batches[place] for place in generator.permutation(len(batches))]

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        return [
            self._indices[order[start : start + self._batch_size]] for start in range(0, len(order), self._batch_size)
        ]


class Batch(NamedTuple):
    """Padded rows.

    ids: (batch, longest), padded with PAD_ID. lengths: (batch,), 0 for an empty text. labels: (batch,).
    """

    ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]


def collate(corpus: "Corpus", rows: NDArray[np.int64]) -> Batch:
    """Token ids, lengths and labels of these rows of the corpus; ids has at least one column."""
    lengths = corpus.lengths[rows].astype(np.int64)
    ids = np.full((len(rows), max(1, int(lengths.max(initial=0)))), PAD_ID, dtype=np.int64)
    for place, row in enumerate(rows):
        ids[place, : lengths[place]] = corpus.tokens(int(row))
    corpus.release(len(rows))
    return Batch(ids, lengths, corpus.labels[rows].astype(np.int64))
