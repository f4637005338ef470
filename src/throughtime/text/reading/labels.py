"""Labels as strings, what they were, and when they cannot be classes."""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.files import shown
from throughtime.text.reading.source import Source

MAX_CLASSES: Final = 1000
"""More different labels than this are taken for something else than classes."""
MANY_CLASSES: Final = 100
"""From here on, labels that differ in more than half of the rows are taken for something else than classes."""

_INTEGER: Final = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?", re.ASCII | re.IGNORECASE)
_MISSING: Final = frozenset(
    ("nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "Null", "NULL", "None", "NaT")
)
_NAMED: Final = 5
"""At most so many doubtful classes, and of those that are alike, are named."""
_REMEDY: Final = "name a column that holds classes with --label-column"


def label_text(value: object, where: str, column: str) -> tuple[str, LabelKind]:
    """The label as a string, without surrounding white space, and what it was: True → ("True", "bool").

    Whole floats are classes too, for pandas makes them of integers beside missing values: 1.0 → ("1.0", "float").

    Raises:
        DataError: no label, a fraction (a regression target), or something that is no plain value.
    """
    if isinstance(value, str) and (label := value.strip()):
        return label, "str"
    if isinstance(value, bool):
        return str(value), "bool"
    if isinstance(value, int):
        return str(value), "int"
    if isinstance(value, float) and value == value:
        if value.is_integer():
            return str(value), "float"
        raise _not_classes(f"{where}: label {value} in column '{shown(column)}' is a fraction")
    if value is None or isinstance(value, str | float):
        raise DataError(
            f"{where}: no label in column '{shown(column)}'; label this row or remove it, "
            "or name another column with --label-column"
        )
    raise DataError(
        f"{where}: the label in column '{shown(column)}' is a {type(value).__name__} ({shown(value)}), "
        f"not a string, whole number or boolean; {_REMEDY}"
    )


def kind_of_strings(labels: Collection[str], where: str) -> LabelKind:
    """What labels of a CSV or TSV file were before they were written: "int", "bool", "float" where all read as one.

    Raises:
        DataError: all are numbers and some are fractions.
    """
    if all(_INTEGER.fullmatch(label) for label in labels) and "-0" not in labels:
        return "int"
    if all(label in ("True", "False") for label in labels):
        return "bool"
    if all(_NUMBER.fullmatch(label) for label in labels):
        fraction = next((label for label in sorted(labels) if not float(label).is_integer()), None)
        if fraction is not None:
            raise _not_classes(f"{where}: the labels are numbers with fractions ({shown(fraction)})")
        # "1.0" and str(float("1.0")) are the same class; "1." or "1e0" would not come back as they were.
        return "float" if all(str(float(label)) == label for label in labels) else "str"
    return "str"


def doubtful_classes(rows: Mapping[str, int]) -> Iterator[str]:
    """What is odd about classes, though they can be some: a few lines.

    Classes that differ in case, white space or composition alone, and classes that are called what programs write where
    there is no value ("NaN", "N/A", "None").

    Args:
        rows: of each class.
    """
    alike: dict[str, list[str]] = {}
    for label in rows:
        alike.setdefault(" ".join(unicodedata.normalize("NFC", label).lower().split()), []).append(label)
    same = [labels for labels in alike.values() if len(labels) > 1]
    for labels in same[:_NAMED]:
        named = ", ".join(f"'{shown(label)}'" for label in sorted(labels)[:_NAMED])
        more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
        yield (
            f"classes {named}{more} differ in case, white space or composition alone; write them alike, or give one of "
            "them another name if they are different"
        )
    if len(same) > _NAMED:
        yield f"{len(same) - _NAMED} more sets of classes that differ in case, white space or composition alone"
    for label in sorted(_MISSING & rows.keys()):
        count = f"{rows[label]:,} row" + ("s" if rows[label] != 1 else "")
        yield (
            f"class '{shown(label)}' ({count}) is called as a missing value is written; if it is one, label its "
            "rows or remove them"
        )


def require_classes(distinct: Collection[str], rows: int, where: str, *, complete: bool) -> None:
    """Refuses labels of which there are too many for classes. `complete`: all rows were seen.

    Raises:
        DataError: more than MAX_CLASSES different ones, or more than MANY_CLASSES and than half as many as rows.
    """
    if len(distinct) > MAX_CLASSES or (complete and len(distinct) > max(MANY_CLASSES, rows / 2)):
        example = shown(min(distinct))
        raise _not_classes(f"{where}: {len(distinct):,} different labels in {rows:,} rows (one is '{example}')")


def labelled_rows(source: Source, names: Sequence[str], command: str) -> Iterator[tuple[list[str], list[str]]]:
    """Batches (texts, labels) of a source whose labels are all classes of a model.

    Args:
        names: the model's classes.
        command: what wants the labels ("evaluate"), for messages.

    Raises:
        DataError: there are no labels, one that the model lacks, or a row cannot be read.
    """
    known = frozenset(names)
    classes = ", ".join(map(shown, names[:10])) + (f", … {len(names) - 10} more" if len(names) > 10 else "")
    for batch in source.rows():
        if batch.labels is None:
            raise DataError(f"{source.name} has no labels: {command} needs them; name their column (--label-column)")
        for row, label in enumerate(batch.labels):
            if label not in known:
                raise DataError(
                    f"{batch.where(row)}: label '{shown(label)}' is no class of the model ({classes}): correct it, "
                    f"remove the row, or {command} another model"
                )
        yield batch.texts, batch.labels


def _not_classes(finding: str) -> DataError:
    return DataError(f"{finding}; this looks like a regression target or the wrong column: {_REMEDY}")
