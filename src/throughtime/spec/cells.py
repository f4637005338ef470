"""What a recurrent layer is made of: gate orders, parameter names and shapes, options.

Names, orders and shapes are those of `torch.nn.RNN/GRU/LSTM`, so that a checkpoint of torch loads untouched. Nothing
here computes: `equations`, `nn`, `runtime` and the native kernels all read this page, and so cannot disagree.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from throughtime.spec.errors import OptionError

Cell: TypeAlias = Literal["RNN", "GRU", "LSTM", "MinGRU", "MinLSTM", "IndRNN"]
ClassicCell: TypeAlias = Literal["RNN", "GRU", "LSTM"]
Nonlinearity: TypeAlias = Literal["tanh", "relu", "sigmoid", "identity"]

GATES: dict[Cell, tuple[str, ...]] = {
    "RNN": ("h",),
    "GRU": ("r", "z", "n"),
    "LSTM": ("i", "f", "g", "o"),
    "MinGRU": ("z", "n"),
    "MinLSTM": ("f", "i", "n"),
    "IndRNN": ("h",),
}
"""Row blocks of every weight and bias, in order: each block has hidden_size rows. See `LayerOptions.gates`."""

CLASSIC: tuple[ClassicCell, ...] = ("RNN", "GRU", "LSTM")
"""The cells with a full recurrent matrix, whose plain forms are torch's."""

NONLINEARITIES: tuple[Nonlinearity, ...] = ("tanh", "relu", "sigmoid", "identity")

NORM_EPS = 1e-5
"""Added to the variance in every layer normalisation, as torch.nn.LayerNorm has it."""


@dataclass(frozen=True)
class LayerOptions:
    """Everything that fixes the parameters and the mathematics of a stack of recurrent layers.

    Args:
        cell: "RNN", "GRU" or "LSTM"; "MinGRU", "MinLSTM" (Feng et al. 2024) or "IndRNN" (Li et al. 2018).
        input_size: features of x_t.
        hidden_size: units, one entry a layer; the entries may differ.
        bias: whether b_ih and b_hh exist.
        bidirectional: whether each layer also runs from the last step to the first.
        nonlinearity: φ of RNN and IndRNN; other cells must leave it at "tanh".
        reset_after: GRU only. True: n = tanh(W x + b_in + r ⊙ (W h + b_hn)) (cuDNN, torch, Keras); False:
            n = tanh(W x + b_in + W (r ⊙ h) + b_hn) (Cho et al. 2014).
        layer_norm: RNN, GRU, LSTM. W x and W h are each normalised before their biases, and an LSTM's c before its tanh
            (Ba et al. 2016, for LSTM and GRU; in a plain RNN they normalise the sum).
        zoneout: shares (of h, of c) in 0 ≤ p < 1 that keep their value of the step before (Krueger et al. 2017); c
            only for an LSTM.
        recurrent_dropout: RNN, GRU, LSTM. Share in 0 ≤ p < 1 of h_{t-1}, the same at every step of a sequence, that
            does not reach W_hh while training (variational, Gal & Ghahramani 2016).
        weight_dropout: RNN, GRU, LSTM. Share in 0 ≤ p < 1 of weight_hh that is zero while training, the same for the
            whole call (DropConnect, Merity et al. 2018).
        peephole: LSTM only. i and f see p ⊙ c_{t-1}, o sees p ⊙ c_t (Gers et al. 2002).
        coupled_gates: LSTM only. i = 1 − f; the row blocks are f, g, o (Greff et al. 2017).
        proj_size: LSTM only. 0, or features of h_t = weight_hr (o ⊙ tanh(c_t)), fewer than hidden_size of every layer
            (Sak et al. 2014).
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
    layer_norm: bool = False
    zoneout: tuple[float, float] = (0.0, 0.0)
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    peephole: bool = False
    coupled_gates: bool = False
    proj_size: int = 0

    def __post_init__(self) -> None:
        if self.cell not in GATES:
            raise OptionError(f"cell must be one of {', '.join(GATES)}, but is {self.cell!r}")
        if self.input_size < 1:
            raise OptionError(f"input_size must be at least 1, but is {self.input_size}")
        if not self.hidden_size or min(self.hidden_size) < 1:
            raise OptionError(f"hidden_size must hold one size of at least 1 a layer, but is {list(self.hidden_size)}")
        if self.nonlinearity not in NONLINEARITIES:
            raise OptionError(f"nonlinearity must be one of {', '.join(NONLINEARITIES)}, but is {self.nonlinearity!r}")
        self._check_cell("nonlinearity", self.nonlinearity, "tanh", ("RNN", "IndRNN"))
        self._check_cell("reset_after", self.reset_after, True, ("GRU",))
        self._check_cell("layer_norm", self.layer_norm, False, CLASSIC)
        self._check_cell("recurrent_dropout", self.recurrent_dropout, 0.0, CLASSIC)
        self._check_cell("weight_dropout", self.weight_dropout, 0.0, CLASSIC)
        self._check_cell("peephole", self.peephole, False, ("LSTM",))
        self._check_cell("coupled_gates", self.coupled_gates, False, ("LSTM",))
        self._check_cell("proj_size", self.proj_size, 0, ("LSTM",))
        if len(self.zoneout) != 2:
            raise OptionError(f"zoneout must be the pair (share of h, share of c), but is {self.zoneout!r}")
        self._check_cell("zoneout of c", self.zoneout[1], 0.0, ("LSTM",))
        shares = {"zoneout of h": self.zoneout[0], "zoneout of c": self.zoneout[1]}
        shares |= {"recurrent_dropout": self.recurrent_dropout, "weight_dropout": self.weight_dropout}
        for name, share in shares.items():
            if not 0.0 <= share < 1.0:
                raise OptionError(f"{name} must be a share in 0 <= p < 1, but is {share}")
        if self.proj_size < 0 or (self.proj_size and self.proj_size >= min(self.hidden_size)):
            raise OptionError(
                f"proj_size must be 0 or smaller than every hidden_size, but is {self.proj_size} with hidden_size "
                f"{list(self.hidden_size)}"
            )

    def _check_cell(self, name: str, value: object, default: object, cells: Sequence[Cell]) -> None:
        if value != default and self.cell not in cells:
            raise OptionError(f"{name}={value!r} is an option of {', '.join(cells)}; {self.cell} does not have it")

    @property
    def num_layers(self) -> int:
        return len(self.hidden_size)

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def has_cell_state(self) -> bool:
        """Whether the state is the pair (h, c)."""
        return self.cell == "LSTM"

    @property
    def gates(self) -> tuple[str, ...]:
        """Row blocks of the weights and biases, in order."""
        return GATES[self.cell][1:] if self.coupled_gates else GATES[self.cell]

    def output_features(self, layer: int) -> int:
        """Features of one direction's h_t."""
        return self.proj_size or self.hidden_size[layer]

    @property
    def output_size(self) -> int:
        """Features of the stack's output: those of the last layer's h_t, times num_directions."""
        return self.num_directions * self.output_features(-1)

    def layer_input_size(self, layer: int) -> int:
        """Features that layer `layer` reads: input_size, or the output of the layer below, both directions."""
        return self.input_size if layer == 0 else self.num_directions * self.output_features(layer - 1)


def suffix(layer: int, direction: int) -> str:
    """Ending of a parameter's name: `_l0`, `_l0_reverse`, `_l1`, …; direction 1 is the reverse one."""
    return f"_l{layer}" + ("_reverse" if direction else "")


def parameter_shapes(options: LayerOptions) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters: torch's in torch's order, then those of variants, direction by direction."""
    return dict(_shapes(options))


def _shapes(options: LayerOptions) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer in range(options.num_layers):
        for direction in range(options.num_directions):
            for kind, shape in direction_shapes(options, layer).items():
                yield kind + suffix(layer, direction), shape


def direction_shapes(options: LayerOptions, layer: int) -> dict[str, tuple[int, ...]]:
    """One direction of one layer: kind of parameter → shape; a parameter's name is its kind and `suffix`.

    weight_ih (gates * hidden_size, input), weight_hh (gates * hidden_size, features of h), biases the same rows,
    weight_hr (proj_size, hidden_size). Variants add weight_peephole (3 * hidden_size: i, f, o; or 2 *: f, o where the
    gates are coupled) and the gains of layer normalisation norm_ih, norm_hh (gates * hidden_size), and norm_c, bias_c
    (hidden_size). IndRNN's weight_hh is (hidden_size), and there, as in MinGRU and MinLSTM, bias_ih is the only bias.
    """
    size = options.hidden_size[layer]
    rows = len(options.gates) * size
    classic = options.cell in CLASSIC
    shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, options.layer_input_size(layer))}
    if classic:
        shapes["weight_hh"] = (rows, options.output_features(layer))
    elif options.cell == "IndRNN":
        shapes["weight_hh"] = (size,)
    if options.bias:
        shapes["bias_ih"] = (rows,)
        if classic:
            shapes["bias_hh"] = (rows,)
    if options.proj_size:
        shapes["weight_hr"] = (options.proj_size, size)
    if options.peephole:
        shapes["weight_peephole"] = (len(peephole_gates(options)) * size,)
    if options.layer_norm:
        shapes |= {"norm_ih": (rows,), "norm_hh": (rows,)}
        if options.has_cell_state:
            shapes["norm_c"] = (size,)
            if options.bias:
                shapes["bias_c"] = (size,)
    return shapes


KINDS: tuple[str, ...] = (
    *("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"),
    *("weight_peephole", "norm_ih", "norm_hh", "norm_c", "bias_c"),
)
"""Every kind of parameter, in the order of `direction_shapes`, which gives those that a layer has."""

NEUTRAL: dict[str, float] = {"weight_peephole": 0.0, "norm_ih": 1.0, "norm_hh": 1.0, "norm_c": 1.0, "bias_c": 0.0}
"""Kinds of parameters that torch's layers lack → the value they start from, and have where a state_dict lacks them."""


def peephole_gates(options: LayerOptions) -> tuple[str, ...]:
    """Row blocks of weight_peephole, in order."""
    return tuple(gate for gate in options.gates if gate != "g")


def gate_rows(gates: Sequence[str], gate: str, hidden_size: int) -> slice:
    """Rows of `gate` in a weight or bias whose row blocks are `gates`."""
    index = tuple(gates).index(gate)
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
