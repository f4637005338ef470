"""Both ends of a network that reads and writes words or numbers (notes A2, A3): embedding and output projection.

Derivation: docs/derivations/output.md.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from throughtime.equations.activations import activate, derivative
from throughtime.equations.arrays import Array, Indices, float64
from throughtime.spec.cells import Nonlinearity
from throughtime.spec.errors import ShapeError

OutputNonlinearity: TypeAlias = Nonlinearity | Literal["softmax"]


@dataclass(frozen=True)
class Projection:
    """Result of `project`: y (…, num_outputs), and what `project_back` needs."""

    y: Array
    h: Array
    V: Array
    nonlinearity: OutputNonlinearity


def embed(ids: Indices, table: Array) -> Array:
    """x = row `id` of table (num_words, size) for every id: (…) → (…, size).

    Raises:
        ShapeError: an id below 0 or beyond the table.
    """
    if ids.size and not (ids.min() >= 0 and ids.max() < len(table)):
        raise ShapeError(f"ids must be from 0 to num_words - 1 = {len(table) - 1}, but reach {ids.min()} … {ids.max()}")
    return table[ids]  # output.md (1)


def embed_back(ids: Indices, d_x: Array, num_words: int) -> Array:
    """∂E/∂table (num_words, size): the gradients of all places where a word stands, added up."""
    d_table = np.zeros((num_words, d_x.shape[-1]))
    np.add.at(d_table, ids, d_x)  # output.md (2)
    return d_table


def project(h: ArrayLike, V: ArrayLike, bias: ArrayLike, nonlinearity: OutputNonlinearity = "identity") -> Projection:
    """y = ψ(V h + b_o) for every vector of h.

    Tied to the input's words: hand the embedding's table (num_words, size) as V; the table's gradient is then the sum
    of ∂E/∂V and of `embed_back`, output.md (10).

    Args:
        h: (…, size).
        V: (num_outputs, size).
        bias: (num_outputs,).
        nonlinearity: ψ; "softmax" goes over the outputs.
    Raises:
        ShapeError: V or bias does not fit; gives both shapes.
    """
    vectors, matrix = np.asarray(h, dtype=np.float64), np.asarray(V, dtype=np.float64)
    if matrix.ndim != 2 or vectors.ndim < 1 or matrix.shape[1] != vectors.shape[-1]:
        raise ShapeError(f"V must be (num_outputs, size) for h (…, size), but they are {matrix.shape}, {vectors.shape}")
    a = vectors @ matrix.T + float64("bias", bias, matrix.shape[:1], "(num_outputs,)")  # output.md (3)
    if nonlinearity == "softmax":
        e = np.exp(a - a.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)  # output.md (4)
    else:
        y = activate(nonlinearity, a)  # output.md (4)
    return Projection(y, vectors, matrix, nonlinearity)


def project_back(projection: Projection, d_y: ArrayLike) -> tuple[Array, Array, Array]:
    """(∂E/∂h, ∂E/∂V, ∂E/∂b_o) from ∂E/∂y (…, num_outputs).

    Raises:
        ShapeError: d_y does not have the shape of y.
    """
    y = projection.y
    d = float64("d_y", d_y, y.shape, "the shape of y")
    if projection.nonlinearity == "softmax":
        delta = y * (d - np.sum(d * y, axis=-1, keepdims=True))  # output.md (5)
    else:
        delta = derivative(projection.nonlinearity, y) * d  # output.md (6)
    flat_delta = delta.reshape(-1, delta.shape[-1])
    flat_h = projection.h.reshape(-1, projection.h.shape[-1])
    d_h = delta @ projection.V  # output.md (7)
    d_V = flat_delta.T @ flat_h  # output.md (8)
    return d_h, d_V, flat_delta.sum(axis=0)  # output.md (9)
