"""The public layers that torch has none of: MinGRU, MinLSTM and IndRNN. They have one bias, bias_ih."""

from collections.abc import Sequence

import torch

from throughtime.nn.arguments import check_flag, read_input_size, read_share, read_sizes
from throughtime.nn.base import Recurrent
from throughtime.nn.initial import Init
from throughtime.nn.stack import Again, Backend
from throughtime.spec.cells import Cell, LayerOptions, Nonlinearity


class _Minimal(Recurrent):
    """Cells whose gates see the input alone."""

    cell: Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        zoneout: float = 0.0,
        init: Init = "torch",
        recompute: Again = False,
        backend: Backend = "auto",
    ) -> None:
        options = LayerOptions(
            cell=self.cell,
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            zoneout=(read_share("zoneout", zoneout), 0.0),
        )
        super().__init__(options, batch_first, dropout, device, dtype, init, recompute, backend)


class MinGRU(_Minimal):
    """z = σ(W_z x_t + b_z), n = W_n x_t + b_n, h_t = (1 − z) ⊙ h_{t-1} + z ⊙ n; parameters' rows z, n.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, zoneout,
            recompute, backend: as in `RNN`; dropout acts between layers.
        init: "torch", "xavier" or ("chrono", t_max); see `throughtime.nn.initial.check_init`.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.

    Source: Feng et al. 2024, "Were RNNs All We Needed?".
    """

    cell: Cell = "MinGRU"


class MinLSTM(_Minimal):
    """f, i = σ(W x_t + b), n = W_n x_t + b_n, h_t = f / (f + i) ⊙ h_{t-1} + i / (f + i) ⊙ n; parameters' rows f, i, n.

    The state is h alone.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, zoneout, init,
            recompute, backend: as in `MinGRU`.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.

    Source: Feng et al. 2024, "Were RNNs All We Needed?".
    """

    cell: Cell = "MinLSTM"


class IndRNN(Recurrent):
    """h_t = φ(W_ih x_t + b_ih + w_hh ⊙ h_{t-1}): each unit sees only itself of the step before.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, zoneout,
            recompute, backend: as in `RNN`.
        nonlinearity: φ: "relu", "tanh", "sigmoid" or "identity".
        init: "torch" or, with relu, "identity"; see `throughtime.nn.initial.check_init`.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.

    Source: Li et al. 2018, "Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        nonlinearity: Nonlinearity = "relu",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        zoneout: float = 0.0,
        init: Init = "torch",
        recompute: Again = False,
        backend: Backend = "auto",
    ) -> None:
        options = LayerOptions(
            cell="IndRNN",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            nonlinearity=nonlinearity,
            zoneout=(read_share("zoneout", zoneout), 0.0),
        )
        super().__init__(options, batch_first, dropout, device, dtype, init, recompute, backend)
        self.nonlinearity = nonlinearity
