"""What a recurrent layer is made of: gate orders, parameter names and shapes, options.

Names, orders and shapes are those of `torch.nn.RNN/GRU/LSTM`, so that a checkpoint of torch loads untouched. Nothing
here computes: `equations`, `nn`, `runtime` and the native kernels all read this page, and so cannot disagree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from throughtime.spec.errors import OptionError

Cell: TypeAlias = Literal["RNN", "GRU", "LSTM"]
Nonlinearity: TypeAlias = Literal["tanh", "relu", "sigmoid", "identity"]

GATES: dict[Cell, tuple[str, ...]] = {
    "RNN": ("h",),
    "GRU": ("r", "z", "n"),
    "LSTM": ("i", "f", "g", "o"),
}
"""Row blocks of every weight and bias, in order: each block has hidden_size rows."""

NONLINEARITIES: tuple[Nonlinearity, ...] = ("tanh", "relu", "sigmoid", "identity")


@dataclass(frozen=True)
class LayerOptions:
    """Everything that fixes the parameters and the mathematics of a stack of recurrent layers.

    Args:
        cell: "RNN", "GRU" or "LSTM".
        input_size: features of x_t.
        hidden_size: features of h_t, one entry a layer; the entries may differ.
        bias: whether b_ih and b_hh exist.
        bidirectional: whether each layer also runs from the last step to the first.
        nonlinearity: φ of the RNN; other cells must leave it at "tanh".
        reset_after: GRU only. True: n = tanh(W x + b_in + r ⊙ (W h + b_hn)) (cuDNN, torch, Keras); False:
            n = tanh(W x + b_in + W (r ⊙ h) + b_hn) (Cho et al. 2014).
    Raises:
        OptionError: a value that does not exist, a size below 1, or an option of another cell.
    """

    cell: Cell
    input_size: int
    hidden_size: tuple[int, ...]
    bias: bool = True
    bidirectional: bool = False
    nonlinearity: Nonlinearity = "tanh"
    reset_after: bool = True

    def __post_init__(self) -> None:
        if self.cell not in GATES:
            raise OptionError(f"cell must be one of {', '.join(GATES)}, but is {self.cell!r}")
        if self.input_size < 1:
            raise OptionError(f"input_size must be at least 1, but is {self.input_size}")
        if not self.hidden_size or min(self.hidden_size) < 1:
            raise OptionError(f"hidden_size must hold one size of at least 1 a layer, but is {list(self.hidden_size)}")
        if self.nonlinearity not in NONLINEARITIES:
            raise OptionError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, but is {self.nonlinearity!r}")
        if self.cell != "RNN" and self.nonlinearity != "tanh":
            raise OptionError(f"nonlinearity is an option of RNN; {self.cell} got {self.nonlinearity!r}")
        if self.cell != "GRU" and not self.reset_after:
            raise OptionError(f"reset_after=False is an option of GRU; {self.cell} does not have it")

    @property
    def num_layers(self) -> int:
        return len(self.hidden_size)

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of the stack's output: num_directions * hidden_size of the last layer."""
        return self.num_directions * self.hidden_size[-1]

    def layer_input_size(self, layer: int) -> int:
        """Features that layer `layer` reads: input_size, or the output of the layer below, both directions."""
        return self.input_size if layer == 0 else self.num_directions * self.hidden_size[layer - 1]


def suffix(layer: int, direction: int) -> str:
    """Ending of a parameter's name: `_l0`, `_l0_reverse`, `_l1`, …; direction 1 is the reverse one."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def parameter_shapes(options: LayerOptions) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters, in the order of torch: weight_ih_l0 is (gates * hidden_size, input_size)."""
    return dict(_shapes(options))


def _shapes(options: LayerOptions) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer, hidden_size in enumerate(options.hidden_size):
        rows = len(GATES[options.cell]) * hidden_size
        for direction in range(options.num_directions):
            end = suffix(layer, direction)
            yield f"weight_ih{end}", (rows, options.layer_input_size(layer))
            yield f"weight_hh{end}", (rows, hidden_size)
            if options.bias:
                yield f"bias_ih{end}", (rows,)
                yield f"bias_hh{end}", (rows,)


def gate_rows(cell: Cell, gate: str, hidden_size: int) -> slice:
    """Rows of gate `gate` in a weight or bias of `cell`."""
    index = GATES[cell].index(gate)
    return slice(index * hidden_size, (index + 1) * hidden_size)


def layer_sizes(hidden_size: int | Sequence[int], num_layers: int | None) -> tuple[int, ...]:
    """One size a layer, from an int and num_layers (default 1), or from a list whose length num_layers must match.

    Raises:
        OptionError: num_layers below 1, or different from the length of the list; names both.
    """
    if isinstance(hidden_size, int):
        layers = 1 if num_layers is None else num_layers
        if layers < 1:
            raise OptionError(f"num_layers must be at least 1, but is {layers}")
        return (hidden_size,) * layers
    sizes = tuple(hidden_size)
    if num_layers is not None and num_layers != len(sizes):
        raise OptionError(f"num_layers must match len(hidden_size), but {num_layers} != {len(sizes)}")
    return sizes
