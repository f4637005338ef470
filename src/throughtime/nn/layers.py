"""The public layers with torch's counterparts: constructors in torch's order, and what belongs to one cell only."""

from collections.abc import Sequence

import torch

from throughtime.nn.arguments import (
    Zoneout,
    check_flag,
    read_forget_bias,
    read_input_size,
    read_integer,
    read_share,
    read_sizes,
    read_zoneout,
)
from throughtime.nn.base import Recurrent
from throughtime.nn.initial import Init, fill_gate_bias
from throughtime.nn.stack import Again, Backend
from throughtime.spec.cells import LayerOptions, Nonlinearity
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
        layer_norm: normalises W_ih x and W_hh h over their features, each with a gain of its own (norm_ih, norm_hh),
            before the biases are added: as Ba et al. 2016 do in LSTM and GRU; in a plain RNN they normalise the sum.
        zoneout: share of h_t that keeps its value of the step before while training; in evaluation, old and new are
            mixed by this share (Krueger et al. 2017).
        recurrent_dropout: share of h_{t-1} that does not reach W_hh while training, the same at all steps of a sequence
            (variational dropout, Gal & Ghahramani 2016).
        weight_dropout: share of weight_hh that is zero while training, the same for a whole call (DropConnect, Merity
            et al. 2018).
        init: "torch", "orthogonal", "xavier" or, with relu, "identity"; see `throughtime.nn.initial.check_init`.
        recompute: True: training keeps the state every √seq_len steps only, and computes the steps between again in the
            backward pass: same gradients, a fraction of the memory, a third to a half more time. A number instead says
            how many steps. See `throughtime.nn.recompute`.
        backend: "auto": the native core where it can run (CPU, float32 or float64), torch operations elsewhere: same
            numbers. "torch": torch operations always. "native": the core, or an error that says why not. Under autocast
            on a CPU the core goes on in float32, and so does its output; "torch" casts as torch's layers do where
            they can.

    The random masks of a call come from torch's generator before anything is computed, the same on every backend.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.
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
        layer_norm: bool = False,
        zoneout: Zoneout = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        init: Init = "torch",
        recompute: Again = False,
        backend: Backend = "auto",
    ) -> None:
        options = LayerOptions(
            cell="RNN",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            nonlinearity=nonlinearity,
            layer_norm=check_flag("layer_norm", layer_norm),
            zoneout=read_zoneout("RNN", zoneout),
            recurrent_dropout=read_share("recurrent_dropout", recurrent_dropout),
            weight_dropout=read_share("weight_dropout", weight_dropout),
        )
        super().__init__(options, batch_first, dropout, device, dtype, init, recompute, backend)
        self.nonlinearity = nonlinearity


class GRU(Recurrent):
    """Gated recurrent unit, gates r and z, candidate n: h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}. Drop-in for `torch.nn.GRU`.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype, zoneout,
            recurrent_dropout, weight_dropout, recompute, backend: as in `RNN`.
        reset_after: True: n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn)), as torch, cuDNN and Keras have it. False:
            n = tanh(W_in x + b_in + W_hn (r ⊙ h) + b_hn), as in the published paper (Cho et al. 2014).
        layer_norm: as in `RNN`; the rows of r and z are normalised together, those of n by themselves.
        init: "torch", "orthogonal", "xavier" or ("chrono", t_max); see `throughtime.nn.initial.check_init`.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.
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
        layer_norm: bool = False,
        zoneout: Zoneout = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        init: Init = "torch",
        recompute: Again = False,
        backend: Backend = "auto",
    ) -> None:
        options = LayerOptions(
            cell="GRU",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            reset_after=check_flag("reset_after", reset_after),
            layer_norm=check_flag("layer_norm", layer_norm),
            zoneout=read_zoneout("GRU", zoneout),
            recurrent_dropout=read_share("recurrent_dropout", recurrent_dropout),
            weight_dropout=read_share("weight_dropout", weight_dropout),
        )
        super().__init__(options, batch_first, dropout, device, dtype, init, recompute, backend)
        self.reset_after = reset_after


class LSTM(Recurrent):
    """Long short-term memory: c_t = f ⊙ c_{t-1} + i ⊙ g, h_t = o ⊙ tanh(c_t). Drop-in for `torch.nn.LSTM`.

    i, f and o are gates, g is the candidate; the parameters' rows are i, f, g, o.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype,
            recurrent_dropout, weight_dropout, recompute, backend: as in `RNN`.
        proj_size: 0, or the features of h_t = weight_hr (o ⊙ tanh(c_t)), fewer than hidden_size; h_0 and h_n then have
            proj_size features, c_0 and c_n hidden_size (Sak et al. 2014).
        layer_norm: as in `RNN`, over the rows of gates and candidate, and h_t = o ⊙ tanh(norm_c ⊙ LN(c_t) + bias_c).
        zoneout: as in `RNN`: one share for h and c, or the pair (of h, of c). h_t and o read c_t before its zoneout.
        peephole: i and f also see c_{t-1}, and o sees c_t, each unit its own by weight_peephole (Gers et al. 2002).
        coupled_gates: i = 1 − f; the rows of the parameters are f, g, o (Greff et al. 2017).
        forget_bias: what the forget gate's bias sums to at the start: its rows of bias_ih become this, its rows of
            bias_hh 0. None leaves what `init` gives. A value like 1 lets memory last from the first step of training on
            (Jozefowicz et al. 2015).
        init: "torch", "orthogonal", "xavier" or ("chrono", t_max); see `throughtime.nn.initial.check_init`.

    Raises:
        OptionError: a value that does not exist, or options that contradict each other.
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
        proj_size: int = 0,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool = False,
        zoneout: Zoneout = 0.0,
        recurrent_dropout: float = 0.0,
        weight_dropout: float = 0.0,
        peephole: bool = False,
        coupled_gates: bool = False,
        forget_bias: float | None = None,
        init: Init = "torch",
        recompute: Again = False,
        backend: Backend = "auto",
    ) -> None:
        options = LayerOptions(
            cell="LSTM",
            input_size=read_input_size(input_size),
            hidden_size=read_sizes(hidden_size, num_layers),
            bias=check_flag("bias", bias),
            bidirectional=check_flag("bidirectional", bidirectional),
            layer_norm=check_flag("layer_norm", layer_norm),
            zoneout=read_zoneout("LSTM", zoneout),
            recurrent_dropout=read_share("recurrent_dropout", recurrent_dropout),
            weight_dropout=read_share("weight_dropout", weight_dropout),
            peephole=check_flag("peephole", peephole),
            coupled_gates=check_flag("coupled_gates", coupled_gates),
            proj_size=read_integer("proj_size", proj_size),
        )
        # Before the base class draws the parameters, because reset_parameters reads it.
        self.forget_bias = read_forget_bias(forget_bias, bias)
        if forget_bias is not None and isinstance(init, tuple):
            raise OptionError(
                f"forget_bias={forget_bias} contradicts init={init!r}, which sets the forget gate's bias; leave one out"
            )
        super().__init__(options, batch_first, dropout, device, dtype, init, recompute, backend)
        self.proj_size = options.proj_size

    def extra_repr(self) -> str:
        shown = super().extra_repr()
        return shown if self.forget_bias is None else f"{shown}, forget_bias={self.forget_bias!r}"

    def reset_parameters(self) -> None:
        """The values of `init`, then the forget gate's bias if `forget_bias` is given."""
        super().reset_parameters()
        if self.forget_bias is None:
            return
        for layer in range(self.options.num_layers):
            for direction in range(self.options.num_directions):
                fill_gate_bias(self.options, layer, self._by_kind(layer, direction), "f", self.forget_bias)
