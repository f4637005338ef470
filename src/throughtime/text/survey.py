"""What a check of labelled data keeps of each row, and of the whole."""

from array import array
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from throughtime.runtime.pieces import Pieces
from throughtime.runtime.pipelines import pipeline
from throughtime.text.reading.source import RowBatch
from throughtime.text.recipe import load_recipe
from throughtime.text.sameness import plain_form, stable_hash

_WORDS_MET: Final = 100_000
"""After so many different words, of which none stood twice, no more are looked at."""


class Survey:
    """What is kept of each row, and of the whole."""

    def __init__(self) -> None:
        self.hashes = array("q")
        self.labels = array("i")
        self.groups = array("q")
        self.characters = array("q")
        self.words = array("q")
        self.empty = array("q")
        self.label_ids: dict[str, int] = {}
        self.longest = ""
        self.longest_length = -1
        self.first_empty = ""
        self.undecodable = 0
        self.first_undecodable = ""
        self.labelled = True
        self.grouped = True
        self.word_stands_twice = False
        self._met: set[str] = set()
        self._lowercase = load_recipe("default").preprocessing.lowercase
        self._pieces = Pieces(pipeline("words", lowercase=self._lowercase))

    def take(self, batch: RowBatch) -> None:
        for i, text in enumerate(batch.texts):
            if len(text) > self.longest_length:
                self.longest_length = len(text)
                self.longest = batch.where(i)
            words = len(text.split())
            if not words:
                self.first_empty = self.first_empty or batch.where(i)
                self.empty.append(batch.first_row + i)
            if "\ufffd" in text:
                self.first_undecodable = self.first_undecodable or batch.where(i)
                self.undecodable += 1
            self.hashes.append(stable_hash(plain_form(text, lowercase=self._lowercase)))
            self.characters.append(len(text))
            self.words.append(words)
            if not self.word_stands_twice and len(self._met) < _WORDS_MET:
                self._meet(self._pieces(text))
        self.labelled = batch.labels is not None
        self.grouped = batch.groups is not None
        self.labels.extend(self.label_ids.setdefault(label, len(self.label_ids)) for label in batch.labels or ())
        self.groups.extend(map(stable_hash, batch.groups or ()))

    def _meet(self, pieces: list[str]) -> None:
        before = len(self._met)
        self._met.update(pieces)
        if len(self._met) < before + len(pieces):
            self.word_stands_twice = True
            self._met.clear()

    def counts(self) -> dict[str, int]:
        """Rows a class, the largest first."""
        rows = np.bincount(numbers(self.labels), minlength=len(self.label_ids))
        counts = {label: int(rows[number]) for label, number in self.label_ids.items()}
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def texts_a_class(self) -> npt.NDArray[np.int64]:
        """Different texts of each class, in no order; of a text with several labels, one of them counts."""
        rows = self.full_rows()
        _, first = np.unique(numbers(self.hashes)[rows], return_index=True)
        return np.bincount(numbers(self.labels)[rows[first]], minlength=len(self.label_ids))

    def full_rows(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows whose text is not empty."""
        return np.delete(np.arange(len(self.hashes)), numbers(self.empty))


def numbers(values: "array[int]") -> npt.NDArray[Any]:
    """The array's own memory as NumPy's."""
    return np.frombuffer(values, dtype=values.typecode) if len(values) else np.empty(0, dtype=values.typecode)
