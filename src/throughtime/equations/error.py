"""The article's regularised error, eq. (2) there (notes A5). Derivation: docs/derivations/regularised-error.md."""

import numpy as np
from numpy.typing import ArrayLike

from throughtime.equations.arrays import Array, float64
from throughtime.spec.errors import OptionError, ShapeError


def regularised_error(prediction: ArrayLike, target: ArrayLike, w: ArrayLike, lam: float) -> float:
    """E = ½ (ŷ-y)ᵀ (I - λW)⁻¹ (ŷ-y), W = diag(w), summed over the leading axes; λ = 0 is the squared error.

    Args:
        prediction: ŷ, (…, num_outputs).
        target: y, the shape of prediction.
        w: (num_outputs,), one weight an output.
        lam: λ; λ w_k < 1 for every k, or the quadratic form is singular or negative.
    Raises:
        ShapeError: target or w does not fit prediction; gives both shapes.
        OptionError: λ w_k >= 1 (or not a number); names k, λ and w_k.
    """
    difference, scale = _checked(prediction, target, w, lam)
    return float(0.5 * np.sum(difference * difference / scale))  # regularised-error.md (2)


def regularised_error_gradients(
    prediction: ArrayLike, target: ArrayLike, w: ArrayLike, lam: float
) -> tuple[Array, Array]:
    """(∂E/∂ŷ, ∂E/∂w) of `regularised_error`, in the shapes of prediction and w; the same arguments and errors."""
    difference, scale = _checked(prediction, target, w, lam)
    d_prediction = difference / scale  # regularised-error.md (3)
    leading = tuple(range(difference.ndim - 1))
    d_w = 0.5 * lam * np.sum(difference * difference, axis=leading) / scale**2  # regularised-error.md (4)
    return d_prediction, d_w


def _checked(prediction: ArrayLike, target: ArrayLike, w: ArrayLike, lam: float) -> tuple[Array, Array]:
    """ŷ - y, and the diagonal of I - λW."""
    y_hat = np.asarray(prediction, dtype=np.float64)
    if y_hat.ndim < 1:
        raise ShapeError(f"prediction must be (…, num_outputs), but is {y_hat.shape}")
    y = float64("target", target, y_hat.shape, "the shape of prediction")
    weights = float64("w", w, y_hat.shape[-1:], "(num_outputs,)")
    for k, product in enumerate(lam * weights):
        if not product < 1.0:  # a NaN is refused too
            raise OptionError(
                f"lam * w[k] must be below 1 for every output, but lam = {lam} and w[{k}] = {weights[k]} give "
                f"{product}: choose a smaller lam"
            )
    return y_hat - y, 1.0 - lam * weights
