"""Arguments of the layers' constructors, read from what users may write to what `LayerOptions` takes."""

import math
import operator
from collections.abc import Sequence
from typing import TypeAlias

from throughtime.spec.cells import Cell, layer_sizes
from throughtime.spec.errors import OptionError

Zoneout: TypeAlias = float | tuple[float, float]
"""One share, for all of the state; or the pair (of h, of c)."""


def read_input_size(input_size: int) -> int:
    """`input_size` as an int; NumPy's integers are taken too."""
    return read_integer("input_size", input_size)


def read_sizes(hidden_size: int | Sequence[int], num_layers: int | None) -> tuple[int, ...]:
    """One size a layer. Raises OptionError as `spec.cells.layer_sizes` does, and for what is not an integer."""
    layers = None if num_layers is None else read_integer("num_layers", num_layers)
    if isinstance(hidden_size, Sequence):
        return layer_sizes([read_integer(f"hidden_size[{i}]", size) for i, size in enumerate(hidden_size)], layers)
    return layer_sizes(read_integer("hidden_size", hidden_size), layers)


def read_zoneout(cell: Cell, zoneout: Zoneout) -> tuple[float, float]:
    """The shares of h and of c; one number is both where the cell has a c."""
    if isinstance(zoneout, Sequence) and len(zoneout) == 2:
        return read_share("zoneout of h", zoneout[0]), read_share("zoneout of c", zoneout[1])
    if isinstance(zoneout, Sequence):
        raise OptionError(f"zoneout must be a number or the pair (share of h, share of c), but is {zoneout!r}")
    share = read_share("zoneout", zoneout)
    return share, share if cell == "LSTM" else 0.0


def read_share(name: str, value: float) -> float:
    """`value` in 0 <= p < 1, as a float; True and False are not numbers here."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise OptionError(f"{name} must be a number in 0 <= p < 1, but is {value!r}")
    return float(value)


def read_forget_bias(forget_bias: float | None, bias: bool) -> float | None:
    """A finite number, or None; needs biases."""
    if forget_bias is None:
        return None
    if isinstance(forget_bias, bool) or not isinstance(forget_bias, (int, float)) or not math.isfinite(forget_bias):
        raise OptionError(f"forget_bias must be a finite number, but is {forget_bias}")
    if not bias:
        raise OptionError(f"forget_bias needs bias=True, but forget_bias={forget_bias} came with bias=False")
    return float(forget_bias)


def read_recompute(recompute: bool | int) -> bool | int:
    """True, False, or the steps of a stretch, at least 1."""
    if isinstance(recompute, bool):
        return recompute
    steps = read_integer("recompute", recompute)
    if steps < 1:
        raise OptionError(f"recompute must be True, False or at least 1 step, but is {steps}")
    return steps


def check_flag(name: str, value: bool) -> bool:
    """`value` if it is True or False; torch's positional order makes it easy to put a number in a flag's place."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, but is {value!r}")
    return value


def read_integer(name: str, value: object) -> int:
    """`value` as an int, if it is an integer of Python or NumPy."""
    try:
        return operator.index(value)  # type: ignore[arg-type]  # what has no __index__ is the error handled here
    except TypeError as error:
        raise OptionError(f"{name} must be an integer, but is {value!r}") from error
