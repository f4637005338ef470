"""What all recurrent layers share: parameters under torch's names, checks of the input, `forward`."""

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from throughtime.nn import cudnn
from throughtime.nn.arguments import read_recompute
from throughtime.nn.autocast import autocast_dtype
from throughtime.nn.cells import kinds
from throughtime.nn.initial import Init, check_init, fill
from throughtime.nn.lengths import Lengths, as_integers, check_end_to_end, check_index
from throughtime.nn.packing import forget
from throughtime.nn.plain import LayerWeights
from throughtime.nn.representation import describe
from throughtime.nn.stack import BACKENDS, Again, Backend, run_end_to_end, run_packed, run_stack
from throughtime.nn.state import State, equal_sizes, read_state, write_state
from throughtime.nn.stream import Stream
from throughtime.spec.cells import NEUTRAL, LayerOptions, parameter_shapes, suffix
from throughtime.spec.errors import OptionError, ShapeError

_Self = TypeVar("_Self", bound="Recurrent")


class Recurrent(torch.nn.Module):
    """Base of the recurrent layers; use `RNN`, `GRU`, `LSTM`, `MinGRU`, `MinLSTM` or `IndRNN`.

    Attributes:
        options: sizes and mathematics, as `throughtime.spec` knows them; all variants stand there.
        mode: torch's name of the kind: "RNN_TANH", "RNN_RELU", …, "GRU", "LSTM"; of other cells, the cell's.
        input_size, num_layers, bias, batch_first, dropout, bidirectional, init, recompute, backend: as given; the last
            two may be changed at any time.
        hidden_size: one int, or a tuple with one size a layer where the sizes differ.
    """

    def __init__(
        self,
        options: LayerOptions,
        batch_first: bool,
        dropout: float,
        device: torch.device | str | int | None,
        dtype: torch.dtype | None,
        init: Init,
        recompute: Again,
        backend: Backend,
    ) -> None:
        super().__init__()
        if backend not in BACKENDS:
            raise OptionError(f"backend must be one of {', '.join(BACKENDS)}, but is {backend!r}")
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
        self.init = check_init(options, init)
        self.recompute = read_recompute(recompute)
        self.backend: Backend = backend
        self.dropout = float(dropout)
        self.bidirectional = options.bidirectional
        self.mode: str = f"RNN_{options.nonlinearity.upper()}" if options.cell == "RNN" else options.cell
        self._names = [
            [
                tuple(kind + suffix(layer, direction) for kind in kinds(options))
                for direction in range(options.num_directions)
            ]
            for layer in range(options.num_layers)
        ]
        for name, shape in parameter_shapes(options).items():
            setattr(self, name, Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.flatten_parameters()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter anew, as `init` says: by default from torch's seed, torch's values."""
        for layer in range(self.options.num_layers):
            for direction in range(self.options.num_directions):
                fill(self.options, layer, self._by_kind(layer, direction), self.init)

    def _by_kind(self, layer: int, direction: int) -> dict[str, Tensor]:
        """Parameters of one direction of one layer: weight_ih, weight_hh, …"""
        return {kind: getattr(self, kind + suffix(layer, direction)) for kind in kinds(self.options)}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Takes a checkpoint of the plain layer too: what a variant adds then has its neutral value.

        That is for a checkpoint that has nothing of the variant; one that has some of it is damaged, and refused.
        """
        added = {
            name: NEUTRAL[kind]
            for layer in self._names
            for names in layer
            for kind, name in zip(kinds(self.options), names, strict=True)
            if kind in NEUTRAL and name in self._parameters
        }
        self._let_go_for_swap()
        plain = state_dict.get(prefix + self._names[0][0][0])
        if isinstance(plain, Tensor) and not any(prefix + name in state_dict for name in added):
            for name, value in added.items():
                # As the checkpoint's own tensors, which may take the place of parameters that have no values yet.
                state_dict[prefix + name] = plain.new_full(getattr(self, name).shape, value)
        super()._load_from_state_dict(state_dict, prefix, *others)

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters, one list for each direction of each layer, in torch's order."""
        return [list(direction) for layer in self.weights_by_layer() for direction in layer]

    def weights_by_layer(self) -> list[LayerWeights]:
        """The parameters by layer and direction, each in the order of `throughtime.nn.cells.kinds`."""
        # Read by name every time, so that replaced, parametrised, pruned or functionally swapped weights count.
        own = self._parameters
        return [
            [tuple(own[name] if name in own else getattr(self, name) for name in names) for names in layer]  # type: ignore[misc]
            for layer in self._names
        ]

    def invalidate(self) -> None:
        """Drops the weights that the native core keeps packed; the next call packs them again.

        It frees their memory. Results never need it: every change of the weights, through whatever door, is seen.
        """
        forget([weight for direction in self.all_weights for weight in direction])

    def _let_go_for_swap(self) -> None:
        """torch.utils.swap_tensors refuses a parameter that anyone refers to weakly, as what is kept packed does."""
        if torch.__future__.get_swap_module_params_on_conversion():
            self.invalidate()

    def stream(self, batch: int = 1) -> Stream:
        """An object whose `step(x_t)` advances `batch` sequences by one time step, from a state of zeros.

        Raises:
            OptionError: the layer is bidirectional, or backend "native" cannot run it.
        """
        return Stream(self.options, self.weights_by_layer(), batch, self.backend)

    def flatten_parameters(self) -> None:
        """Lays the weights out for cuDNN; does nothing where it does not run. Never needs calling."""
        cudnn.flatten(self.options, self.all_weights, self.batch_first)

    def _apply(self: _Self, fn: Callable[..., Any], recurse: bool = True) -> _Self:
        self._let_go_for_swap()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return self

    def extra_repr(self) -> str:
        return describe(self.options, self.batch_first, self.dropout, self.init, self.recompute, self.backend)

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
            hx: the state before the first step; zeros if None. LSTM: (h_0, c_0); all others: h_0. Each a tensor
                (num_layers * num_directions, batch, hidden_size), without the batch axis for unbatched input; where
                the layers' sizes differ, a list of one tensor (num_directions, batch, hidden_size[l]) a layer. With a
                projection, h_0 has proj_size features.
            lengths: (batch,) integers in 1..seq_len (tensor, list or array): sequence b ends after lengths[b] steps.
                What stands behind its end is never looked at; the reverse direction starts at its last step.

        Returns:
            output: as the input, with num_directions * hidden_size (or proj_size) features: the last layer's h at every
                step, exactly 0 past a sequence's end. A `PackedSequence` for a `PackedSequence`. The backward pass
                needs it as it is: changed in its place (`relu_`, `dropout(inplace=True)`) before that, it raises.
            state: h_n, or (h_n, c_n), after the last real step, in the form of `hx`.

        Raises:
            ShapeError: input, hx or lengths do not fit the layer or each other.
            OptionError: the input is no tensor or has another dtype than the layer, or `lengths` comes with a
                `PackedSequence`.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx, lengths)
        steps, states, lengths, batched = self.read_input(input, hx, lengths)
        output, after = run_stack(
            self.backend,
            self.options,
            self.weights_by_layer(),
            steps,
            states,
            lengths,
            self.dropout,
            self.training,
            self.recompute,
        )
        if not batched:
            output = output.squeeze(1)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, write_state(self.options, after, batched)

    def read_input(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        hx: Any,
        lengths: Lengths | None,
    ) -> tuple[Tensor, list[State] | None, Lengths | None, bool]:
        """Arguments of `forward` checked and brought to one form.

        Returns:
            The input (seq_len, batch, input_size), one state a layer or None, the lengths of a batch or None, and
            whether the input was batched.
        """
        if not isinstance(input, Tensor):
            raise OptionError(
                f"input must be a tensor or a PackedSequence, not of type {type(input).__name__}; see torch.as_tensor"
            )
        if input.dim() not in (2, 3):
            raise ShapeError(f"input must have 2 axes (unbatched) or 3, but has {input.dim()}: {tuple(input.shape)}")
        batched = input.dim() == 3
        if not batched:
            steps = input.unsqueeze(1)
        else:
            steps = input.transpose(0, 1) if self.batch_first else input
        self._check_input(steps)
        states = self._start(steps, hx, steps.shape[1], batched)
        if lengths is not None and not batched:
            # A single sequence may have its length given as a plain number.
            given = as_integers("lengths", lengths, torch.device("cpu"))
            lengths = given.reshape(1) if given.dim() == 0 else given
        return steps, states, lengths, batched

    def end_to_end(
        self,
        input: Tensor,  # noqa: A002 - torch's name
        lengths: Lengths,
        hx: Any = None,
        index: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Runs the stack over sequences that lie one after the other, without padding.

        Args:
            input: (tokens, input_size): the steps of the first sequence, then those of the second, and so on.
            lengths: (batch,) integers, each at least 1, that add up to the tokens.
            hx: as of `forward`, for a batch.
            index: (tokens,) integers: the input of token i is input[index[i]], and `input` is (rows, input_size), all
                finite. Where tokens share rows (words of a text), the core computes each row's products once.

        Returns:
            output: (tokens, num_directions * hidden_size or proj_size), in the order of the input.
            state: h_n, or (h_n, c_n), after each sequence's last step, in the form of `hx`.

        Raises:
            ShapeError: input, lengths, hx or index do not fit the layer or each other.
            OptionError: the input's dtype is not the layer's.
        """
        if input.dim() != 2:
            raise ShapeError(
                f"input must have 2 axes, (tokens, input_size), but has {input.dim()}: {tuple(input.shape)}"
            )
        self._check_input(input)
        # While compiling, values are unknown: the operators check them when they run.
        compiling = torch.compiler.is_compiling()
        if index is not None and not compiling:
            index = check_index(index, input)
        tokens = input.shape[0] if index is None else index.shape[0]
        checked = torch.as_tensor(lengths) if compiling else check_end_to_end(lengths, tokens)
        states = self._start(input, hx, checked.shape[0], True)
        output, after = run_end_to_end(
            self.backend,
            self.options,
            self.weights_by_layer(),
            input,
            states,
            checked,
            index,
            self.dropout,
            self.training,
            self.recompute,
        )
        return output, write_state(self.options, after, True)

    def _forward_packed(self, packed: PackedSequence, hx: Any, lengths: Lengths | None) -> tuple[PackedSequence, Any]:
        if lengths is not None:
            raise OptionError("lengths must be None with a PackedSequence, which brings its own")
        if packed.data.dim() != 2:
            shape = tuple(packed.data.shape)
            raise ShapeError(f"data of a PackedSequence must have 2 axes, but has {len(shape)}: {shape}")
        self._check_input(packed.data)
        states = self._start(packed.data, hx, int(packed.batch_sizes[0]), True)
        result, after = run_packed(
            self.backend,
            self.options,
            self.weights_by_layer(),
            packed,
            states,
            self.dropout,
            self.training,
            self.recompute,
        )
        return result, write_state(self.options, after, True)

    def _check_input(self, x: Tensor) -> None:
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"input must have input_size = {self.input_size} features, its last axis, but has {x.shape[-1]}"
            )
        if x.shape[0] == 0:
            raise ShapeError(f"input must have at least 1 step, but its shape is {tuple(x.shape)} (seq_len first)")
        weight = self.weights_by_layer()[0][0][0]
        if x.dtype != weight.dtype and autocast_dtype(x.device) is None:
            raise OptionError(
                f"input must have the layer's dtype, {weight.dtype}, but has {x.dtype}; see input.to({weight.dtype})"
            )

    def _start(self, x: Tensor, hx: Any, batch: int, batched: bool) -> list[State] | None:
        if hx is None:
            return None
        dtype = x.dtype if autocast_dtype(x.device) is None else None
        return read_state(self.options, hx, batch, batched, dtype)
