"""Initial values of the parameters, all drawn from torch's seed.

Parameters that torch's layers lack (`spec.cells.NEUTRAL`) start where they change nothing, and draw nothing; so
`init="torch"` gives torch's values from torch's seed, whatever the variant.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

import torch
from torch import Tensor
from torch.nn import init as torch_init

from throughtime.spec.cells import CLASSIC, NEUTRAL, Cell, LayerOptions, direction_shapes, gate_rows
from throughtime.spec.errors import OptionError

Name: TypeAlias = Literal["torch", "orthogonal", "xavier", "identity"]
Init: TypeAlias = Name | tuple[Literal["chrono"], int]
"""How parameters start; see `check_init`."""

# Standard deviation of weight_ih beside an identity for weight_hh (Le et al. 2015).
_IDENTITY_STD: Final = 0.001

# Gate that keeps the old state → sign of its chrono bias; that of the gate which lets new values in is the opposite.
_CHRONO: Final[dict[Cell, dict[str, float]]] = {
    "LSTM": {"f": 1.0, "i": -1.0},
    "GRU": {"z": 1.0},
    "MinGRU": {"z": -1.0},
    "MinLSTM": {"f": 1.0, "i": -1.0},
}


def check_init(options: LayerOptions, init: Init) -> Init:
    """`init` if it means something for this cell.

    "torch": U(-1/√hidden_size, 1/√hidden_size). "xavier": weight_ih and weight_hh Xavier uniform, each gate's block by
    itself; biases 0. "orthogonal": each gate's block of weight_hh, and weight_hr, orthogonal; weight_ih as "xavier",
    biases 0. "identity", RNN and IndRNN with relu: W_hh the identity, weight_ih N(0, 0.001), biases 0 (Le et al. 2015).
    ("chrono", t_max), cells with a gate that forgets: memory that lasts from 1 to t_max steps: with u from
    U(1, t_max - 1), the keeping gate's bias is ln u and the other's -ln u; all else as "orthogonal", as far as the cell
    has it (Tallec & Ollivier 2018).

    Raises:
        OptionError: another value, one that this cell cannot have, or chrono without biases.
    """
    if isinstance(init, tuple):
        return _check_chrono(options, init)
    if init not in get_args(Name):
        raise OptionError(f"init must be one of {', '.join(get_args(Name))} or ('chrono', t_max), but is {init!r}")
    if init == "orthogonal" and options.cell not in CLASSIC:
        raise OptionError(f"init='orthogonal' needs a recurrent matrix, and {options.cell} has none; use 'torch'")
    if init == "xavier" and options.cell == "IndRNN":
        raise OptionError(
            "init='xavier' needs matrices, and weight_hh of IndRNN is a vector; use 'torch' or 'identity'"
        )
    if init == "identity" and (options.cell not in ("RNN", "IndRNN") or options.nonlinearity != "relu"):
        given = f"{options.cell} with nonlinearity={options.nonlinearity!r}"
        raise OptionError(f"init='identity' is for RNN and IndRNN with nonlinearity='relu', but this is {given}")
    return init


def _check_chrono(options: LayerOptions, init: tuple[Literal["chrono"], int]) -> Init:
    if len(init) != 2 or init[0] != "chrono" or isinstance(init[1], bool) or not isinstance(init[1], int):
        raise OptionError(f"init must be a name or ('chrono', t_max) with an integer t_max, but is {init!r}")
    if init[1] < 3:
        raise OptionError(f"t_max of init=('chrono', t_max) must be at least 3 steps, but is {init[1]}")
    if options.cell not in _CHRONO:
        raise OptionError(f"init='chrono' sets the bias of a gate that forgets, and {options.cell} has none")
    if not options.bias:
        raise OptionError(f"init={init!r} needs bias=True, because it sets biases")
    return init


def fill(options: LayerOptions, layer: int, parameters: Mapping[str, Tensor], init: Init) -> None:
    """Sets the parameters of one direction of one layer, given by kind; a kind that is absent is left alone."""
    size = options.hidden_size[layer]
    with torch.no_grad():
        for kind in direction_shapes(options, layer):
            if kind not in parameters:
                continue
            parameter = parameters[kind]
            if kind in NEUTRAL:
                parameter.fill_(NEUTRAL[kind])
            elif init == "torch":
                bound = 1.0 / math.sqrt(size)
                torch_init.uniform_(parameter, -bound, bound)
            elif kind.startswith("bias"):
                parameter.zero_()
            else:
                _fill_weight(options, kind, parameter, size, init)
        if isinstance(init, tuple):
            _fill_chrono(options, parameters["bias_ih"], size, init[1])


def _fill_weight(options: LayerOptions, kind: str, weight: Tensor, size: int, init: Init) -> None:
    recurrent = kind in ("weight_hh", "weight_hr")
    if init == "identity":
        if not recurrent:
            torch_init.normal_(weight, std=_IDENTITY_STD)
        elif weight.dim() == 1:
            weight.fill_(1.0)
        else:
            torch_init.eye_(weight)
        return
    blocks = [weight] if kind == "weight_hr" else [weight[gate_rows(options.gates, g, size)] for g in options.gates]
    for block in blocks:
        # Through a copy that every decomposition knows, and that is contiguous, as their writing in place asks for.
        drawn = torch.empty(block.shape, dtype=torch.promote_types(block.dtype, torch.float32), device=block.device)
        if recurrent and init != "xavier":
            torch_init.orthogonal_(drawn)
        else:
            torch_init.xavier_uniform_(drawn)
        block.copy_(drawn)


def _fill_chrono(options: LayerOptions, bias: Tensor, size: int, t_max: int) -> None:
    """Source: Tallec & Ollivier 2018, "Can recurrent neural networks warp time?"; GRU's and MinGRU's z by the same."""
    logarithm = torch.empty(size, dtype=bias.dtype, device=bias.device).uniform_(1.0, t_max - 1.0).log_()
    for gate, sign in _CHRONO[options.cell].items():
        if gate in options.gates:
            bias[gate_rows(options.gates, gate, size)] = sign * logarithm


def fill_gate_bias(
    options: LayerOptions, layer: int, parameters: Mapping[str, Tensor], gate: str, value: float
) -> None:
    """What both biases of a gate sum to: its rows of bias_ih become `value`, its rows of bias_hh 0."""
    rows = gate_rows(options.gates, gate, options.hidden_size[layer])
    with torch.no_grad():
        parameters["bias_ih"][rows] = value
        parameters["bias_hh"][rows] = 0.0
