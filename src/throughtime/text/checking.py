"""What is in labelled data, and what is wrong with it: one pass, and about 30 bytes of memory a row."""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind
from throughtime.text.reading.files import shown
from throughtime.text.reading.labels import doubtful_classes
from throughtime.text.reading.source import Source
from throughtime.text.recipe import load_recipe
from throughtime.text.survey import Survey, numbers

FEW_ROWS: Final = 10
"""Fewer texts than this in a class are too few to learn it and to judge it."""
IMBALANCE: Final = 10.0
"""From this ratio of the largest class to the smallest on, accuracy says little about the smallest."""
MANY_CUT: Final = 0.05
"""From this share of texts on that are longer than the default recipe reads, the check says so."""
_NAMED: Final = 5
"""At most so many classes are named in one message."""


@dataclass(frozen=True)
class Distribution:
    """Of a number a text, over all texts."""

    minimum: int
    median: float
    mean: float
    percentile_95: float
    maximum: int


@dataclass(frozen=True)
class Overlap:
    """What a test set shares with the training set. `texts`: rows of the test whose text stands in training too."""

    texts: int
    groups: int | None
    unknown_labels: tuple[str, ...]


@dataclass(frozen=True)
class CheckReport:
    """Facts about one source, then findings, each a line that says what and what to do.

    classes: rows a class, largest first; None where the source has no labels. empty_texts: rows whose text is empty or
    white space. duplicate_texts: rows that repeat the text of an earlier row, but for case, white space and what else
    `sameness.plain_form` drops. conflicting_texts: different texts that
    occur with more than one label. words are pieces between white space. longest: place of the text with most
    characters (a line or row of the source, or a file). groups: how many, largest_group: rows of the largest; None
    where there are none. problems would stop any training; warnings would not. refused: the default recipe would not
    train on this as it is, for a problem or for what a warning tells. test, overlap: the same for a second source, and
    what both share.
    """

    name: str
    rows: int
    label_kind: LabelKind
    classes: dict[str, int] | None
    empty_texts: int
    duplicate_texts: int
    conflicting_texts: int
    characters: Distribution
    words: Distribution
    longest: str
    groups: int | None
    largest_group: int | None
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refused: bool = False
    test: "CheckReport | None" = None
    overlap: Overlap | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report in plain types, for JSON."""
        return asdict(self)


def check(source: Source, test: Source | None = None, progress: Callable[[int], None] | None = None) -> CheckReport:
    """Reads all of `source` (and `test`) and reports what is in it.

    Args:
        source: texts, labelled or not.
        test: texts that a model will be judged by.
        progress: called with the number of further rows read.

    Raises:
        DataError: a row cannot be read; names file, line and remedy.
    """
    report, survey = _examined(source, progress)
    refusals = list(_refusals(report, survey))
    report.warnings.extend(refusals)
    if test is None:
        return replace(report, refused=bool(report.problems or refusals))
    test_report, test_survey = _examined(test, progress)
    # What would stop training does not stop judging by these texts.
    test_report.warnings[:0] = [problem.removeprefix(f"{test.name}: ") for problem in test_report.problems]
    test_report.problems.clear()
    overlap = _shared(survey, test_survey)
    if overlap.unknown_labels:
        report.problems.append(
            f"{test.name}: {_counted(len(overlap.unknown_labels), 'label')} that {source.name} has not "
            f"({_named(overlap.unknown_labels)}); correct them, or add such rows to the training data"
        )
    if overlap.texts:
        first = int(np.flatnonzero(_standing_in(test_survey, survey))[0])
        place = _places(test, (first,))[first]
        report.warnings.append(
            f"{_counted(overlap.texts, 'text')} of {test.name} also in {source.name} (first: {place}); "
            "scores will be too good: remove them from one of the two"
        )
    if overlap.groups:
        report.warnings.append(
            f"{_counted(overlap.groups, 'group')} of {test.name} also in {source.name}; scores will be too good: "
            "keep each group on one side"
        )
    return replace(report, refused=bool(report.problems or refusals), test=test_report, overlap=overlap)


@dataclass(frozen=True)
class _Repeats:
    """Rows that repeat an earlier text, and texts with several labels; of the first of each, (earlier, later row)."""

    rows: int
    first: tuple[int, int] | None
    conflicts: int
    first_conflict: tuple[int, int] | None


def _examined(source: Source, progress: Callable[[int], None] | None) -> tuple[CheckReport, Survey]:
    survey = Survey()
    for batch in source.rows():
        survey.take(batch)
        if progress is not None:
            progress(len(batch))
    repeats = _repeats(survey)
    groups, rows_a_group = np.unique(numbers(survey.groups), return_counts=True)
    classes = survey.counts() if survey.labelled else None
    report = CheckReport(
        name=source.name,
        rows=len(survey.hashes),
        label_kind=source.label_kind,
        classes=classes,
        empty_texts=len(survey.empty),
        duplicate_texts=repeats.rows,
        conflicting_texts=repeats.conflicts,
        characters=_distribution(survey.characters),
        words=_distribution(survey.words),
        longest=_short(source, survey.longest),
        groups=len(groups) if survey.grouped else None,
        largest_group=int(rows_a_group.max()) if survey.grouped else None,
    )
    report.problems.extend(_problems(report))
    report.warnings.extend(_warnings(report, survey, repeats, source))
    return report, survey


def _repeats(survey: Survey) -> _Repeats:
    rows = survey.full_rows()
    hashes = numbers(survey.hashes)[rows]
    # A stable sort keeps rows of one text together, in their order.
    order = np.argsort(hashes, kind="stable")
    repeated = hashes[order][1:] == hashes[order][:-1]
    earlier, later = rows[order[:-1]][repeated], rows[order[1:]][repeated]
    if not survey.labelled or not len(rows):
        return _Repeats(len(later), _first(earlier, later), 0, None)
    labels = numbers(survey.labels)
    clash = labels[earlier] != labels[later]
    texts = np.unique(numbers(survey.hashes)[later[clash]])
    return _Repeats(len(later), _first(earlier, later), len(texts), _first(earlier[clash], later[clash]))


def _first(earlier: npt.NDArray[np.int64], later: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    if not len(later):
        return None
    i = int(np.argmin(later))
    return int(earlier[i]), int(later[i])


def _shared(train: Survey, test: Survey) -> Overlap:
    both_grouped = train.grouped and test.grouped
    both_labelled = train.labelled and test.labelled
    return Overlap(
        texts=int(_standing_in(test, train).sum()),
        groups=len(np.intersect1d(numbers(train.groups), numbers(test.groups))) if both_grouped else None,
        unknown_labels=tuple(sorted(set(test.label_ids) - set(train.label_ids))) if both_labelled else (),
    )


def _standing_in(test: Survey, train: Survey) -> npt.NDArray[np.bool_]:
    """Of each row of `test`, whether its text, not empty, stands in `train` too."""
    return np.isin(numbers(test.hashes), numbers(train.hashes)[train.full_rows()])


def _problems(report: CheckReport) -> Iterator[str]:
    if report.empty_texts == report.rows:
        yield f"{report.name}: every text is empty; check that --text-column names the column of the texts"
    if report.classes is not None and len(report.classes) == 1:
        yield (
            f"{report.name}: one class only ('{shown(next(iter(report.classes)))}'); "
            "give rows of at least two classes, or, of a table, name another column with --label-column"
        )


def _warnings(report: CheckReport, survey: Survey, repeats: _Repeats, source: Source) -> Iterator[str]:
    if report.empty_texts and report.empty_texts < report.rows:
        yield (
            f"{_counted(report.empty_texts, 'text')} empty or white space "
            f"(first: {_short(source, survey.first_empty)}); not trained on, and predicted as the share of each class"
        )
    if repeats.first is not None:
        yield (
            f"{_counted(repeats.rows, 'row')} repeating the text of an earlier one "
            f"(first: {_pair(source, repeats.first)}); remove them unless they are meant to weigh more"
        )
    if repeats.first_conflict is not None:
        yield (
            f"{_counted(repeats.conflicts, 'text')} with more than one label "
            f"(first: {_pair(source, repeats.first_conflict)}); decide on one"
        )
    if survey.undecodable:
        yield (
            f"{_counted(survey.undecodable, 'text')} with U+FFFD, left by a wrong decoding "
            f"(first: {_short(source, survey.first_undecodable)}); decode the original again"
        )
    read = load_recipe("default").preprocessing.max_tokens
    cut = int((numbers(survey.words) > read).sum())
    if cut >= MANY_CUT * report.rows and cut:
        yield (
            f"{_counted(cut, 'text')} of more than {read:,} words, of which the default recipe reads so many: the "
            "first and the last; see preprocessing.max_tokens and preprocessing.cut"
        )
    if report.classes is not None:
        yield from doubtful_classes(report.classes)
    if report.classes is not None and len(report.classes) > 1:
        few = [label for label, rows in report.classes.items() if rows < FEW_ROWS]
        if few:
            yield (
                f"{_counted(len(few), 'class')} with fewer than {FEW_ROWS} rows ({_named(few)}); "
                "add rows or merge classes"
            )
        largest, smallest = max(report.classes.values()), min(report.classes.values())
        if largest >= IMBALANCE * smallest:
            yield (
                f"the largest class has {largest / smallest:,.0f} times the rows of the smallest; "
                "look at F1 beside accuracy, and consider class weights"
            )
    if report.largest_group is not None and report.largest_group > report.rows / 2:
        yield (
            f"one group holds {report.largest_group:,} of {report.rows:,} rows; a split by group cannot be even: "
            "check that --group-column names the right column"
        )


def _refusals(report: CheckReport, survey: Survey) -> Iterator[str]:
    """Of what the default recipe refuses, though another configuration may not."""
    if report.problems or report.classes is None:
        return
    # By groups, and with empty texts, something can be held out even so.
    if not survey.grouped and not report.empty_texts and survey.texts_a_class().max() == 1:
        yield (
            "no class has two different texts, and equal ones stay together: none can be held out for validation; "
            "add texts, or give train a --validation file"
        )
    if not survey.word_stands_twice:
        yield (
            "no word stands twice, and the default recipe learns only words that do (preprocessing.min_count); check "
            "that --text-column names the column of the texts, or add texts"
        )


def _pair(source: Source, rows: tuple[int, int]) -> str:
    places = _places(source, rows)
    return f"{places[rows[1]]}, as {places[rows[0]]}"


def _places(source: Source, rows: Iterable[int]) -> dict[int, str]:
    """Where rows stand, found by reading up to them once more: places of all rows would take more memory than texts."""
    wanted = set(rows)
    found: dict[int, str] = {}
    for batch in source.rows():
        found |= {
            row: _short(source, batch.where(row - batch.first_row))
            for row in wanted
            if batch.first_row <= row < batch.first_row + len(batch)
        }
        if len(found) == len(wanted):
            return found
    raise DataError(f"{source.name}: changed while it was being read; run the check again")


def _short(source: Source, place: str) -> str:
    """A place without the name of the source, which the report has at its head."""
    return place.removeprefix(f"{source.name}, ")


def _distribution(values: "array[int]") -> Distribution:
    all_values = numbers(values)
    median, percentile = np.percentile(all_values, [50, 95])
    return Distribution(
        int(all_values.min()), float(median), float(all_values.mean()), float(percentile), int(all_values.max())
    )


def _counted(number: int, thing: str) -> str:
    plural = {"class": "classes"}.get(thing, thing + "s")
    return f"{number:,} {thing if number == 1 else plural}"


def _named(labels: Iterable[str]) -> str:
    all_labels = list(labels)
    named = ", ".join(f"'{shown(label)}'" for label in all_labels[:_NAMED])
    return f"{named} and {len(all_labels) - _NAMED} more" if len(all_labels) > _NAMED else named
