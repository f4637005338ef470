"""Words as rows of a table, the input side of notes A2. Derivation: docs/derivations/embedding-and-output.md."""

import numpy as np

from throughtime.equations.arrays import Array, Indices
from throughtime.spec.errors import ShapeError


def embed(ids: Indices, table: Array) -> Array:
    """x = row `id` of table (num_words, size) for every id: (…) → (…, size).

    Raises:
        ShapeError: an id below 0 or beyond the table.
    """
    if ids.size and not (ids.min() >= 0 and ids.max() < len(table)):
        raise ShapeError(f"ids must be from 0 to num_words - 1 = {len(table) - 1}, but reach {ids.min()} … {ids.max()}")
    return table[ids]  # embedding-and-output.md (1)


def embed_back(ids: Indices, d_x: Array, num_words: int) -> Array:
    """∂E/∂table (num_words, size): the gradients of all places where a word stands, added up."""
    d_table = np.zeros((num_words, d_x.shape[-1]))
    np.add.at(d_table, ids, d_x)  # embedding-and-output.md (2)
    return d_table
