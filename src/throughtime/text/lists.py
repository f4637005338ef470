"""Texts that are in memory already, as a source of rows."""

import hashlib
from collections.abc import Iterator, Sequence

from throughtime.spec.errors import OptionError
from throughtime.spec.model import LabelKind
from throughtime.text.reading import RowBatch


class ListSource:
    """Lists of texts, labels and groups as a `reading.Source`; the lists are not copied and must not change.

    Raises:
        OptionError: lists of different lengths; names both.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[str] | None,
        groups: Sequence[str] | None = None,
        *,
        label_kind: LabelKind = "str",
        name: str = "data",
    ) -> None:
        for what, values in (("labels", labels), ("groups", groups)):
            if values is not None and len(values) != len(texts):
                raise OptionError(f"len({what}) must equal len(texts), but {len(values)} != {len(texts)}")
        self.name = name
        self._texts = texts
        self._labels = labels
        self._groups = groups
        self._label_kind = label_kind

    @property
    def label_kind(self) -> LabelKind:
        return self._label_kind

    def fingerprint(self) -> str:
        """SHA-256 over all rows, each with its length before it, so that no two lists look alike."""
        digest = hashlib.sha256(repr((self._label_kind, self._labels is None, self._groups is None)).encode())
        for values in (self._texts, self._labels or (), self._groups or ()):
            for value in values:
                content = value.encode("utf-8", "surrogatepass")
                digest.update(len(content).to_bytes(8, "little"))
                digest.update(content)
        return digest.hexdigest()

    def rows(self, batch_size: int = 1024) -> Iterator[RowBatch]:
        for start in range(0, len(self._texts), batch_size):
            part = slice(start, start + batch_size)
            yield RowBatch(
                texts=list(self._texts[part]),
                labels=None if self._labels is None else list(self._labels[part]),
                groups=None if self._groups is None else list(self._groups[part]),
                first_row=start,
                name=self.name,
            )
