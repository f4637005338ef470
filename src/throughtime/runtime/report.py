"""Scores as plain text for people: aligned columns that read the same on a terminal, in a log and in a model card."""

import unicodedata
from collections.abc import Sequence
from typing import Final

from throughtime.runtime.scores import Scores

_LONGEST_NAME: Final = 24
_MOST_CLASSES: Final = 40
_MOST_MISTAKES: Final = 20


def score_table(scores: Scores, *, width: int = 80, reliability: bool = False) -> str:
    """All scores in a few blocks of lines, no longer than `width` where class names allow it; ends without a newline.

    A confusion matrix that does not fit is replaced by the most frequent mistakes.

    Args:
        reliability: whether the bins behind the calibration error are listed too.
    """
    blocks = [_summary(scores), _classes(scores), _confusion(scores, width)]
    if reliability:
        blocks.append(_reliability(scores))
    return "\n\n".join("\n".join(block) for block in blocks)


def _summary(scores: Scores) -> list[str]:
    return _columns(
        [
            ["accuracy", f"{scores.accuracy:.4f}", f"of {scores.count:,} text{'' if scores.count == 1 else 's'}"],
            ["macro F1", f"{scores.macro_f1:.4f}", "mean over the classes met"],
            ["weighted F1", f"{scores.weighted_f1:.4f}", "weighted by their texts"],
            ["log loss", f"{scores.log_loss:.4f}", "mean −ln p(true class)"],
            ["Brier score", f"{scores.brier:.4f}", "0 is best, 2 is worst"],
            ["calibration error", f"{scores.calibration_error:.4f}", "mean |accuracy − confidence| over 15 bins"],
        ],
        "lrl",
    )


def _classes(scores: Scores) -> list[str]:
    rows = [["class", "precision", "recall", "F1", "texts"]]
    for name, found in list(zip(scores.labels, scores.classes, strict=True))[:_MOST_CLASSES]:
        numbers = (found.precision, found.recall, found.f1)
        rows.append([_shown(name), *(f"{number:.4f}" for number in numbers), f"{found.support:,}"])
    left_out = len(scores.classes) - _MOST_CLASSES
    return _columns(rows, "lrrrr") + ([f"… and {left_out:,} classes more"] if left_out > 0 else [])


def _confusion(scores: Scores, width: int) -> list[str]:
    names = [_shown(name) for name in scores.labels]
    if len(names) <= _MOST_CLASSES:
        rows = [["", *names]]
        rows += [[name, *(f"{texts:,}" for texts in row)] for name, row in zip(names, scores.confusion, strict=True)]
        lines = _columns(rows, "l" + "r" * len(names))
        if max(map(_cells, lines)) <= width:
            return ["confusion matrix (a row a true class, a column a predicted one)", *lines]
    mistakes = [
        (texts, names[true], names[predicted])
        for true, row in enumerate(scores.confusion)
        for predicted, texts in enumerate(row)
        if texts and true != predicted
    ]
    mistakes.sort(key=lambda mistake: -mistake[0])
    table = [[f"{texts:,}", true, f"taken for {predicted}"] for texts, true, predicted in mistakes[:_MOST_MISTAKES]]
    return ["most frequent mistakes", *_columns(table, "rll")] if table else ["no mistakes"]


def _reliability(scores: Scores) -> list[str]:
    rows = [["confidence", "texts", "mean confidence", "accuracy"]]
    for entry in scores.reliability:
        span = f"{entry.lower:.2f} – {entry.upper:.2f}"
        rows.append([span, f"{entry.count:,}", f"{entry.confidence:.4f}", f"{entry.accuracy:.4f}"])
    return _columns(rows, "lrrr")


def _columns(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """The rows with their columns aligned, left (l) or right (r), two spaces between them."""
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(*entry) for entry in zip(row, widths, sides, strict=True)).rstrip() for row in rows]


def _padded(text: str, width: int, side: str) -> str:
    space = " " * (width - _cells(text))
    return text + space if side == "l" else space + text


def _shown(name: str) -> str:
    """A class's name, printable and cut to a bearable length."""
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return printable if len(printable) <= _LONGEST_NAME else printable[: _LONGEST_NAME - 1] + "…"


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes: two for a wide East Asian character, none for a combining one."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
