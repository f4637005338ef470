"""What a model card says about the data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from throughtime.spec.model import UNKNOWN_ID
from throughtime.text.indexing import RowTable
from throughtime.text.splitting import TEST, TRAIN, VALIDATION

_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def corpus_facts(
    table: RowTable, side: NDArray[np.int8], lengths: NDArray[np.int32], counts: NDArray[np.int64]
) -> dict[str, Any]:
    """Counts of rows, texts and tokens, ready for JSON.

    Args:
        side, lengths: (rows,).
        counts: (3, vocabulary), how often each token stands in TRAIN, VALIDATION and TEST.
    Returns:
        rows; rows_<side>; rows_by_class {class: {side: rows}}; empty_texts, empty_texts_<side> (texts without a token;
        those of training are left out, the others are predicted as the prior); duplicates_train_<side> (rows of that
        side whose text stands in training too, see `sameness`); groups (None where unknown);
        shared_groups_train_<side> (groups of that side that stand in training too; None where unknown); tokens,
        tokens_<side> (after the cut); longest_tokens (after the cut), longest_characters; vocabulary_size;
        unknown_share_<side> (of its tokens; None where it has none).
    """
    names = {number: name for number, name in _NAMES.items() if (side == number).any()}
    facts: dict[str, Any] = {"rows": table.rows}
    facts |= {f"rows_{name}": int((side == number).sum()) for number, name in _NAMES.items()}
    facts["rows_by_class"] = {
        label: {name: int(((side == number) & (table.labels == place)).sum()) for number, name in names.items()}
        for place, label in enumerate(table.classes)
    }
    facts["empty_texts"] = int((lengths == 0).sum())
    facts |= {f"empty_texts_{name}": int(((side == number) & (lengths == 0)).sum()) for number, name in _NAMES.items()}
    known = np.unique(table.hashes[(side == TRAIN) & (lengths > 0)])
    for number in (VALIDATION, TEST):
        held_out = table.hashes[(side == number) & (lengths > 0)]
        facts[f"duplicates_train_{_NAMES[number]}"] = int(np.isin(held_out, known, assume_unique=False).sum())
    facts["groups"] = None if table.groups is None else len(np.unique(table.groups))
    for number in (VALIDATION, TEST):
        facts[f"shared_groups_train_{_NAMES[number]}"] = _shared_groups(table, side, number)
    facts["tokens"] = int(counts.sum())
    facts |= {f"tokens_{name}": int(counts[number].sum()) for number, name in _NAMES.items()}
    facts["longest_tokens"] = int(lengths.max(initial=0))
    facts["longest_characters"] = table.longest
    facts["vocabulary_size"] = counts.shape[1]
    for number, name in _NAMES.items():
        tokens = int(counts[number].sum())
        facts[f"unknown_share_{name}"] = int(counts[number, UNKNOWN_ID]) / tokens if tokens else None
    return facts


def _shared_groups(table: RowTable, side: NDArray[np.int8], number: int) -> int | None:
    if table.groups is None:
        return None
    own = side[: len(table.groups)]
    held_out = table.held_out_groups.get(number)
    if held_out is None:
        if (side[len(own) :] == number).any():
            return None
        held_out = table.groups[own == number]
    return len(np.intersect1d(table.groups[own == TRAIN], held_out))
