"""The corpus that a training run reads: labelled texts as token ids, split into training, validation and test."""

import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.model import LabelKind
from throughtime.text.tokenizing import vocabulary

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called as progress(stage, rows done, rows in all or None where not yet known)."""

_ROWS_BEFORE_RELEASE: Final = 1024


@dataclass
class Corpus:
    """Token ids of all rows, and what is known of the rows.

    ids: (tokens,) int32, all rows one after another, mapped from the cache or in memory; read only.
    offsets: (rows + 1,) int64; row i is ids[offsets[i]:offsets[i + 1]], already cut to max_tokens.
    labels: (rows,) int32, places in `classes`; -1 for rows that are left out (training rows without a token).
    split: (rows,) int8, TRAIN, VALIDATION or TEST.
    classes: names of the classes, sorted (numerically where label_kind says that they are numbers).
    prior: share of each class among the training rows.
    tokenizer_json: content of tokenizer.json, learnt from the training rows alone.
    counts: (vocabulary,) int64, how often each token stands in the training rows, after the cut.
    facts: for the model card; see `facts.corpus_facts`.
    key: names data and options: equal keys, equal corpora.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int32]
    split: NDArray[np.int8]
    classes: tuple[str, ...]
    label_kind: LabelKind
    prior: tuple[float, ...]
    tokenizer_json: str
    counts: NDArray[np.int64]
    facts: Mapping[str, Any]
    key: str
    mapping: mmap.mmap | None = field(default=None, repr=False)
    _touched: int = field(default=0, repr=False)

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """(rows,): tokens of each row."""
        return np.diff(self.offsets).astype(np.int32)

    @cached_property
    def vocabulary(self) -> list[str]:
        """The tokens, in the order of their ids."""
        return vocabulary(self.tokenizer_json)

    def rows(self, side: int) -> NDArray[np.int64]:
        """The rows of TRAIN, VALIDATION or TEST, in file order; validation and test rows may have length 0."""
        return np.flatnonzero((self.split == side) & (self.labels >= 0))

    def tokens(self, row: int) -> NDArray[np.int32]:
        """(length,) int32: a view, not a copy."""
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    def release(self, rows: int) -> None:
        """Says that `rows` rows were read; from time to time their pages are given back to the system.

        Each row that is read maps up to 64 KiB of the cache file; over an epoch of a large corpus that would be counted
        as gigabytes of resident memory, though the pages are only the system's own copy of the file.
        """
        self._touched += rows
        if self.mapping is not None and self._touched >= _ROWS_BEFORE_RELEASE and hasattr(mmap, "MADV_DONTNEED"):
            self.mapping.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
