"""Functions of options whose results are kept."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar, cast

import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")


def remembered(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """`function`, whose results for the last 256 different arguments are kept.

    While torch compiles, the function itself runs: the compiler would look through a cache, and warn that it does.
    """
    kept = cast("Callable[_P, _R]", lru_cache(maxsize=256)(function))

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return (function if torch.compiler.is_compiling() else kept)(*args, **kwargs)

    return call
