"""The nonlinearities φ, and their derivatives written through φ's own value: y = φ(a) gives φ'(a) without a."""

import numpy as np

from throughtime.equations.arrays import Array
from throughtime.spec.cells import Nonlinearity


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), written so that exp never overflows."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, e) / (1.0 + e)


def log_sigmoid(a: Array) -> Array:
    """ln σ(a), right also where σ(a) is too small for a float."""
    return np.minimum(a, 0.0) - np.log1p(np.exp(-np.abs(a)))


def d_sigmoid(y: Array) -> Array:
    """σ'(a) = y (1 - y), with y = σ(a): at most 1/4."""
    return y * (1.0 - y)


def d_tanh(y: Array) -> Array:
    """tanh'(a) = 1 - y², with y = tanh(a): at most 1."""
    return 1.0 - y * y


def activate(nonlinearity: Nonlinearity, a: Array) -> Array:
    """φ(a), element by element."""
    match nonlinearity:
        case "tanh":
            return np.tanh(a)
        case "relu":
            return np.maximum(a, 0.0)
        case "sigmoid":
            return sigmoid(a)
        case "identity":
            return a.copy()


def derivative(nonlinearity: Nonlinearity, y: Array) -> Array:
    """φ'(a), element by element, from y = φ(a). relu's is 0 at a = 0, the convention of every library."""
    match nonlinearity:
        case "tanh":
            return d_tanh(y)
        case "relu":
            return np.where(y > 0.0, 1.0, 0.0)
        case "sigmoid":
            return d_sigmoid(y)
        case "identity":
            return np.ones_like(y)
