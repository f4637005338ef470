"""What RNN, GRU and LSTM share: parameters under torch's names, checks of the input, `forward`."""

import math
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from throughtime.nn import cudnn
from throughtime.nn.lengths import Lengths, check_lengths
from throughtime.nn.stack import LayerWeights, run_packed, run_stack, runs_packed
from throughtime.nn.state import State, equal_sizes, read_state, reorder, write_state, zero_state
from throughtime.spec.cells import LayerOptions, parameter_shapes, suffix
from throughtime.spec.errors import OptionError, ShapeError

_Self = TypeVar("_Self", bound="Recurrent")


class Recurrent(torch.nn.Module):
    """Base of the recurrent layers; use `RNN`, `GRU` or `LSTM`.

    Attributes:
        options: sizes and mathematics, as `throughtime.spec` knows them.
        mode: torch's name of the kind: "RNN_TANH", "RNN_RELU", …, "GRU", "LSTM".
        input_size, num_layers, bias, batch_first, dropout, bidirectional: as given.
        hidden_size: one int, or a tuple with one size a layer where the sizes differ.
    """

    def __init__(
        self,
        options: LayerOptions,
        batch_first: bool,
        dropout: float,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        if not isinstance(batch_first, bool):
            raise OptionError(f"batch_first must be True or False, but is {batch_first!r}")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise OptionError(f"dropout must be a number in 0..1, but is {dropout!r}")
        if dropout and options.num_layers == 1:
            warnings.warn(
                f"dropout acts between layers, so dropout={dropout} does nothing with num_layers=1", stacklevel=3
            )
        self.options = options
        self.input_size = options.input_size
        self.hidden_size = options.hidden_size[0] if equal_sizes(options) else options.hidden_size
        self.num_layers = options.num_layers
        self.bias = options.bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = options.bidirectional
        self.mode = f"RNN_{options.nonlinearity.upper()}" if options.cell == "RNN" else options.cell
        for name, shape in parameter_shapes(options).items():
            setattr(self, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.flatten_parameters()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter from U(-1/√hidden_size, 1/√hidden_size): from torch's seed, torch's values."""
        for name in parameter_shapes(self.options):
            layer = int(name.split("_l")[1].split("_")[0])
            bound = 1.0 / math.sqrt(self.options.hidden_size[layer])
            torch.nn.init.uniform_(getattr(self, name), -bound, bound)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters, one list for each direction of each layer, in torch's order."""
        return [list(direction) for layer in self._weights() for direction in layer]

    def _weights(self) -> list[LayerWeights]:
        # Read by name every time, so that replaced, parametrised, pruned or functionally swapped weights count.
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return [
            [
                tuple(getattr(self, kind + suffix(layer, direction)) for kind in kinds)
                for direction in range(self.options.num_directions)
            ]
            for layer in range(self.num_layers)
        ]

    def flatten_parameters(self) -> None:
        """Lays the weights out for cuDNN; does nothing where it does not run. Never needs calling."""
        cudnn.flatten(self.options, self.all_weights, self.batch_first)

    def _apply(self: _Self, fn: Callable[..., Any], recurse: bool = True) -> _Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return self

    def extra_repr(self) -> str:
        parts = [
            f"{self.input_size}, {list(self.hidden_size) if isinstance(self.hidden_size, tuple) else self.hidden_size}"
        ]
        if self.num_layers != 1 and equal_sizes(self.options):
            parts.append(f"num_layers={self.num_layers}")
        if self.options.nonlinearity != "tanh":
            parts.append(f"nonlinearity={self.options.nonlinearity!r}")
        if not self.bias:
            parts.append("bias=False")
        if self.batch_first:
            parts.append("batch_first=True")
        if self.dropout:
            parts.append(f"dropout={self.dropout}")
        if self.bidirectional:
            parts.append("bidirectional=True")
        if not self.options.reset_after:
            parts.append("reset_after=False")
        return ", ".join(parts)

    def forward(
        self,
        input: Tensor | PackedSequence,  # noqa: A002 - torch's name
        hx: Any = None,
        lengths: Lengths | None = None,
    ) -> tuple[Any, Any]:
        """Runs the stack over a batch of sequences.

        Args:
            input: (seq_len, batch, input_size), or (batch, seq_len, input_size) with `batch_first`, or unbatched
                (seq_len, input_size), or a `PackedSequence`.
            hx: the state before the first step; zeros if None. RNN and GRU: h_0; LSTM: (h_0, c_0). Each a tensor
                (num_layers * num_directions, batch, hidden_size), without the batch axis for unbatched input; where
                the layers' sizes differ, a list of one tensor (num_directions, batch, hidden_size[l]) a layer.
            lengths: (batch,) integers in 1..seq_len (tensor, list or array): sequence b ends after lengths[b] steps.
                What stands behind its end is never looked at; the reverse direction starts at its last step.

        Returns:
            output: as the input, with num_directions * hidden_size features: the last layer's h at every step,
                exactly 0 past a sequence's end. A `PackedSequence` for a `PackedSequence`.
            state: h_n, or (h_n, c_n), after the last real step, in the form of `hx`.

        Raises:
            ShapeError: input, hx or lengths do not fit the layer or each other.
            OptionError: the input's dtype is not the layer's, or `lengths` comes with a `PackedSequence`.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        if input.dim() not in (2, 3):
            raise ShapeError(f"input must have 2 axes (unbatched) or 3, but has {input.dim()}: {tuple(input.shape)}")
        batched = input.dim() == 3
        if not batched:
            steps = input.unsqueeze(1)
        else:
            steps = input.transpose(0, 1) if self.batch_first else input
        self._check_input(steps)
        seq_len, batch = steps.shape[:2]
        states = self._start(steps, hx, batch, batched)
        if lengths is None:
            ragged = None
        else:
            given = torch.as_tensor(lengths)
            # A single sequence may have its length given as a plain number.
            given = given.reshape(1) if not batched and given.dim() == 0 else given
            ragged = check_lengths(given, seq_len, batch, steps.device)
        output, after = run_stack(self.options, self._weights(), steps, states, ragged, self.dropout, self.training)
        if not batched:
            output = output.squeeze(1)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, write_state(self.options, after, batched)

    def _forward_packed(self, packed: PackedSequence, hx: Any, lengths: Lengths | None) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise OptionError("lengths must be None with a PackedSequence, which brings its own")
        data, batch_sizes, order, back = packed
        if data.dim() != 2:
            raise ShapeError(f"data of a PackedSequence must have 2 axes, but has {data.dim()}: {tuple(data.shape)}")
        seq_len, batch = len(batch_sizes), int(batch_sizes[0])
        self._check_input(data)
        states = self._start(data, hx, batch, True)
        # In the order of the packed sequence, longest first: batch_sizes[t] sequences have a step t.
        sizes = (batch_sizes.unsqueeze(1) > torch.arange(batch)).sum(0)
        ragged = check_lengths(sizes, seq_len, batch, data.device)
        weights = self._weights()
        if runs_packed(self.options, ragged):
            result, after = run_packed(self.options, weights, packed, states, self.dropout, self.training)
            return result, write_state(self.options, after, True)
        steps, _ = pad_packed_sequence(PackedSequence(data, batch_sizes))
        states = reorder(states, order)
        output, after = run_stack(self.options, weights, steps, states, ragged, self.dropout, self.training)
        result = PackedSequence(pack_padded_sequence(output, sizes).data, batch_sizes, order, back)
        return result, write_state(self.options, reorder(after, back), True)

    def _check_input(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ShapeError(f"input must have input_size features, but {x.shape[-1]} != {self.input_size}")
        if x.shape[0] == 0:
            raise ShapeError(f"input must have at least 1 step, but its shape is {tuple(x.shape)} (seq_len first)")
        weight = self._weights()[0][0][0]
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            raise OptionError(f"input must have the dtype of the layer, but {x.dtype} != {weight.dtype}")

    def _start(self, x: Tensor, hx: Any, batch: int, batched: bool) -> list[State]:
        if hx is None:
            return zero_state(self.options, batch, x)
        dtype = None if torch.is_autocast_enabled(x.device.type) else x.dtype
        return read_state(self.options, hx, batch, batched, dtype)
