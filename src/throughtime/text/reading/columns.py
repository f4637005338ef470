"""Which column is the text and which the label: as named by the user, else guessed where that is plain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from throughtime.spec.errors import DataError
from throughtime.text.reading.files import shown
from throughtime.text.reading.source import Columns

TEXT_NAMES: Final = (
    "text", "review", "sentence", "content", "comment", "document", "body", "question", "tweet", "message", "post",
    "review_text", "reviewtext", "review_body", "utterance", "headline", "abstract", "description",
)  # fmt: skip
"""Names of a text column, in any case. `text` wins over the others."""
LABEL_NAMES: Final = (
    "label", "labels", "class", "category", "sentiment", "target", "y", "polarity", "stars", "rating", "intent",
    "topic", "score", "answer", "tag",
)  # fmt: skip
"""Names of a label column, in any case. `label` wins over the others."""


@dataclass(frozen=True)
class Chosen:
    """The columns that are read; label and group are None where none is."""

    text: str
    label: str | None
    group: str | None


def choose(wanted: Columns, present: Sequence[str], strings: Sequence[str], name: str, *, labelled: bool) -> Chosen:
    """Columns to read of a table `name`.

    Args:
        wanted: what the user named.
        present: all columns, in order.
        strings: those of them that can hold texts.
        name: the table, for messages.
        labelled: whether a label column is needed; if not, only one that the user named is read, and none is guessed:
            what could be labels could as well be the texts (`answer`), but for a column of the very name `label`.

    Raises:
        DataError: a named column is missing or used twice, or a guess is not plain; lists the columns there are.
    """
    for option, column in (("text", wanted.text), ("label", wanted.label), ("group", wanted.group)):
        if column is None:
            continue
        if column not in present:
            raise DataError(
                f"{name}: no column '{shown(column)}'; its columns are {_listed(present)}: "
                f"give one of them as --{option}-column"
            )
        if list(present).count(column) > 1:
            raise DataError(f"{name}: {list(present).count(column)} columns are called '{shown(column)}'; rename one")
    label = wanted.label
    if label is None and labelled:
        label = _guess(LABEL_NAMES, [c for c in present if c not in (wanted.text, wanted.group)], "label", name)
    text = wanted.text
    if text is None:
        free = [column for column in strings if column not in (label, wanted.group)]
        if not labelled:
            free = [column for column in free if column.strip().lower() != LABEL_NAMES[0]]
        text = _guess(TEXT_NAMES, free, "text", name)
        if text is None and len(free) == 1:
            text = free[0]
        if text is None:
            raise DataError(
                f"{name}: cannot tell which column holds the texts; its columns are {_listed(present)} "
                "(the first line of a CSV or TSV file must name them): name it with --text-column"
            )
    if label is None and labelled:
        others = [column for column in present if column not in (text, wanted.group)]
        if not others:
            raise DataError(f"{name}: no column for the labels beside {_listed(present)}; add one, such as 'label'")
        if len(others) != 1:
            raise DataError(
                f"{name}: cannot tell which column holds the labels; its columns are {_listed(present)}: "
                "name it with --label-column"
            )
        label = others[0]
    used = [column for column in (text, label, wanted.group) if column is not None]
    if len(set(used)) < len(used):
        twice = next(column for column in used if used.count(column) > 1)
        raise DataError(f"{name}: column '{shown(twice)}' cannot be two of text, label and group; name one column each")
    return Chosen(text, label, wanted.group)


def _guess(names: Sequence[str], free: Sequence[str], role: str, name: str) -> str | None:
    """The one column of `free` whose name says that it plays `role`; None where there is no such name."""
    matches = [column for column in free if column.strip().lower() in names]
    plain = [column for column in matches if column.strip().lower() == names[0]]
    for candidates in (plain, matches):
        if len(candidates) == 1:
            return candidates[0]
    if matches:
        raise DataError(
            f"{name}: columns {_listed(matches)} could each be the {role}; name the one to use with --{role}-column"
        )
    return None


def _listed(columns: Sequence[str]) -> str:
    listed = ", ".join(f"'{shown(column, 40)}'" for column in columns[:20])
    return f"{listed} and {len(columns) - 20} more" if len(columns) > 20 else listed
