"""The output projection y = ψ(V h + b_o) (notes A2, A3). Derivation: docs/derivations/embedding-and-output.md."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from throughtime.equations.activations import activate, derivative
from throughtime.equations.arrays import Array, float64
from throughtime.spec.cells import NONLINEARITIES, Nonlinearity
from throughtime.spec.errors import OptionError, ShapeError

OutputNonlinearity: TypeAlias = Nonlinearity | Literal["softmax"]

OUTPUT_NONLINEARITIES: Final[tuple[OutputNonlinearity, ...]] = (*NONLINEARITIES, "softmax")


@dataclass(frozen=True)
class Projection:
    """Result of `project`: y (…, num_outputs), and what `project_back` needs."""

    y: Array
    h: Array
    V: Array
    nonlinearity: OutputNonlinearity


def project(h: ArrayLike, V: ArrayLike, bias: ArrayLike, nonlinearity: OutputNonlinearity = "identity") -> Projection:
    """y = ψ(V h + b_o) for every vector of h.

    Tied to the input's words: hand the embedding's table (num_words, size) as V; the table's gradient is then the sum
    of ∂E/∂V and of `embed_back`, see embedding-and-output.md (10).

    Args:
        h: (…, size).
        V: (num_outputs, size).
        bias: (num_outputs,).
        nonlinearity: ψ; "softmax" goes over the outputs.
    Raises:
        ShapeError: V or bias does not fit; gives both shapes.
        OptionError: a nonlinearity that does not exist.
    """
    if nonlinearity not in OUTPUT_NONLINEARITIES:
        raise OptionError(f"nonlinearity must be one of {', '.join(OUTPUT_NONLINEARITIES)}, but is {nonlinearity!r}")
    vectors, matrix = np.array(h, dtype=np.float64), np.array(V, dtype=np.float64)
    if matrix.ndim != 2 or vectors.ndim < 1 or matrix.shape[1] != vectors.shape[-1]:
        raise ShapeError(f"V must be (num_outputs, size) for h (…, size), but they are {matrix.shape}, {vectors.shape}")
    a = vectors @ matrix.T + float64("bias", bias, matrix.shape[:1], "(num_outputs,)")  # embedding-and-output.md (3)
    if nonlinearity == "softmax":
        e = np.exp(a - a.max(axis=-1, keepdims=True))
        y = e / e.sum(axis=-1, keepdims=True)  # embedding-and-output.md (4)
    else:
        y = activate(nonlinearity, a)  # embedding-and-output.md (4)
    return Projection(y, vectors, matrix, nonlinearity)


def project_back(projection: Projection, d_y: ArrayLike) -> tuple[Array, Array, Array]:
    """(∂E/∂h, ∂E/∂V, ∂E/∂b_o) from ∂E/∂y (…, num_outputs).

    Raises:
        ShapeError: d_y does not have the shape of y.
    """
    y = projection.y
    d = float64("d_y", d_y, y.shape, "the shape of y")
    if projection.nonlinearity == "softmax":
        delta = y * (d - np.sum(d * y, axis=-1, keepdims=True))  # embedding-and-output.md (5)
    else:
        delta = derivative(projection.nonlinearity, y) * d  # embedding-and-output.md (6)
    flat_delta = delta.reshape(-1, delta.shape[-1])
    flat_h = projection.h.reshape(-1, projection.h.shape[-1])
    d_h = delta @ projection.V  # embedding-and-output.md (7)
    d_V = flat_delta.T @ flat_h  # embedding-and-output.md (8)
    return d_h, d_V, flat_delta.sum(axis=0)  # embedding-and-output.md (9)
