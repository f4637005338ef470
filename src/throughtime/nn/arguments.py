"""Arguments of the layers' constructors: sizes read, and options of later versions refused by name."""

import operator
from collections.abc import Mapping, Sequence
from typing import Final

from throughtime.spec.cells import layer_sizes
from throughtime.spec.errors import OptionError

_LATER: Final = (
    "proj_size",
    "layer_norm",
    "zoneout",
    "recurrent_dropout",
    "weight_dropout",
    "peephole",
    "coupled_gates",
    "init",
)


def refuse(cell: str, arguments: Mapping[str, object]) -> None:
    """Ends the call if there is an argument that the constructor of `cell` does not name.

    Raises:
        OptionError: an option that is planned and not there yet.
        TypeError: a name that means nothing, as Python does it.
    """
    for name in arguments:
        if name in _LATER:
            raise OptionError(f"{name} is not available in this version of throughtime; leave it out of {cell}(...)")
        raise TypeError(f"{cell}.__init__() got an unexpected keyword argument {name!r}")


def read_input_size(input_size: int) -> int:
    """`input_size` as an int; NumPy's integers are taken too."""
    return _integer("input_size", input_size)


def read_sizes(hidden_size: int | Sequence[int], num_layers: int | None) -> tuple[int, ...]:
    """One size a layer. Raises OptionError as `spec.cells.layer_sizes` does, and for what is not an integer."""
    layers = None if num_layers is None else _integer("num_layers", num_layers)
    if isinstance(hidden_size, Sequence):
        return layer_sizes([_integer(f"hidden_size[{i}]", size) for i, size in enumerate(hidden_size)], layers)
    return layer_sizes(_integer("hidden_size", hidden_size), layers)


def check_flag(name: str, value: bool) -> bool:
    """`value` if it is True or False; torch's positional order makes it easy to put a number in a flag's place."""
    if not isinstance(value, bool):
        raise OptionError(f"{name} must be True or False, but is {value!r}")
    return value


def _integer(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]  # what has no __index__ is the error handled here
    except TypeError as error:
        raise OptionError(f"{name} must be an integer, but is {value!r}") from error
