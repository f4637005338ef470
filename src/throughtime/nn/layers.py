"""The public layers: constructors in the order of torch's, and what belongs to one cell only."""

import math
from collections.abc import Sequence

import torch

from throughtime.nn.arguments import check_flag, read_input_size, read_sizes, refuse
from throughtime.nn.base import Recurrent
from throughtime.nn.stack import Backend
from throughtime.spec.cells import LayerOptions, Nonlinearity, gate_rows, suffix
from throughtime.spec.errors import OptionError


class RNN(Recurrent):
    """Elman network: h_t = φ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh). Drop-in for `torch.nn.RNN`.

    Args:
        input_size: features of x_t.
        hidden_size: features of h_t; a list gives one size a layer.
        num_layers: layers on top of each other, 1 if left out; with a list it may only repeat the list's length.
        nonlinearity: φ: "tanh", "relu", "sigmoid" or "identity".
        bias: whether b_ih and b_hh exist.
        batch_first: input and output are (batch, seq_len, features); states are not affected.
        dropout: share of each layer's outputs set to zero while training, but for the last layer.
        bidirectional: also runs each layer from the last step to the first; outputs are concatenated.
        device, dtype: of the parameters.
        backend: "auto": the native core where it can run (CPU, float32 or float64), torch operations elsewhere: same
            numbers. "torch": torch operations always. "native": the core, or an error that says why not.

    Raises:
        OptionError: a value that does not exist, or an option that this version does not have.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        backend: Backend = "auto",
        **later: object,
    ) -> None:
        refuse("RNN", later)
        options = LayerOptions(
            cell="RNN",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            nonlinearity=nonlinearity,
        )
        super().__init__(options, batch_first, dropout, device, dtype, backend)
        self.nonlinearity = nonlinearity


class GRU(Recurrent):
    """Gated recurrent unit, gates r, z, n: h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}. Drop-in for `torch.nn.GRU`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, backend: as in
            `RNN`.
        reset_after: True: n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn)), as torch, cuDNN and Keras have it. False:
            n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn), as first published (Cho et al. 2014).

    Raises:
        OptionError: a value that does not exist, or an option that this version does not have.
    """

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
        reset_after: bool = True,
        backend: Backend = "auto",
        **later: object,
    ) -> None:
        refuse("GRU", later)
        options = LayerOptions(
            cell="GRU",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            reset_after=check_flag("reset_after", reset_after),
        )
        super().__init__(options, batch_first, dropout, device, dtype, backend)
        self.reset_after = reset_after


class LSTM(Recurrent):
    """Long short-term memory, gates i, f, g, o: c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t). Drop-in for torch's.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, backend: as in
            `RNN`.
        proj_size: stands where torch has it; only 0 is available in this version.
        forget_bias: what the forget gate's bias sums to at the start: its rows of bias_ih become this, its rows of
            bias_hh 0. None leaves torch's initial values. A value like 1 lets memory last from the first step of
            training on (Jozefowicz et al. 2015).

    Raises:
        OptionError: a value that does not exist, options that contradict each other, or one not in this version.
    """

    proj_size = 0

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int | None = None,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        forget_bias: float | None = None,
        backend: Backend = "auto",
        **later: object,
    ) -> None:
        refuse("LSTM", {"proj_size": proj_size, **later} if proj_size else later)
        options = LayerOptions(
            cell="LSTM",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
        )
        if forget_bias is not None:
            if not math.isfinite(forget_bias):
                raise OptionError(f"forget_bias must be a finite number, but is {forget_bias}")
            if not bias:
                raise OptionError(f"forget_bias needs bias=True, but forget_bias={forget_bias} came with bias=False")
        # Before the base class draws the parameters, because reset_parameters reads it.
        self.forget_bias = forget_bias
        super().__init__(options, batch_first, dropout, device, dtype, backend)

    def reset_parameters(self) -> None:
        """torch's initial values, then the forget gate's bias if `forget_bias` is given."""
        super().reset_parameters()
        if self.forget_bias is None:
            return
        with torch.no_grad():
            for layer, size in enumerate(self.options.hidden_size):
                rows = gate_rows(self.options.gates, "f", size)
                for direction in range(self.options.num_directions):
                    getattr(self, "bias_ih" + suffix(layer, direction))[rows] = self.forget_bias
                    getattr(self, "bias_hh" + suffix(layer, direction))[rows] = 0.0
