"""A layer advanced one time step at a time, for input that arrives as it happens."""

from typing import Any

import torch
from torch import Tensor

from throughtime import kernels
from throughtime.kernels import NativeStream
from throughtime.nn import calls, native
from throughtime.nn.acting import acting
from throughtime.nn.arrays import array, whole
from throughtime.nn.packing import FORWARD, packed
from throughtime.nn.plain import LayerWeights
from throughtime.nn.stack import run_stack
from throughtime.nn.state import State, read_state, write_state, zero_state
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import OptionError, ShapeError


class Stream:
    """The running state of `batch` sequences. Made by `layer.stream(batch)`.

    The weights are those at the time it was made: later changes of the layer do not reach it. Nothing is recorded for
    gradients, and dropout between layers does nothing.
    """

    def __init__(self, options: LayerOptions, weights: list[LayerWeights], batch: int, backend: str) -> None:
        if options.bidirectional:
            raise OptionError("a bidirectional layer cannot stream: its reverse direction begins at the last step")
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise OptionError(f"batch must be an integer of at least 1, but is {batch!r}")
        first = weights[0][0][0]
        self._options = options
        self._batch = batch
        self._dtype, self._device = first.dtype, first.device
        self._weights = [[tuple(w.detach().clone() for w in part) for part in layer] for layer in weights]
        self._state: list[State] | None = None
        self._stream: NativeStream | None = None
        flat = [w for layer in self._weights for part in layer for w in part]
        reason = native.unfit(acting(options, training=False), first.new_empty(1, batch, options.input_size), flat)
        if backend == "native" and reason is not None:
            raise OptionError(f"backend='native' cannot run this: {reason}; use backend='auto'")
        if backend != "torch" and reason is None:
            layers = [kernels.layer(options, i, calls.DTYPES[self._dtype]) for i in range(options.num_layers)]
            packs = [
                packed(layer, options, i, part[0], FORWARD)[0]
                for i, (layer, part) in enumerate(zip(layers, self._weights, strict=True))
            ]
            self._stream = kernels.stream(layers, packs, batch)
        self._shape = torch.Size((batch, options.input_size))
        self._output = first.new_empty(batch, options.output_size)  # only what one looks like

    def step(self, x: Tensor) -> Tensor:
        """Advances all sequences by one step.

        Args:
            x: (batch, input_size), the input at this step.
        Returns:
            (batch, hidden_size), the last layer's h at this step; with a projection (batch, proj_size).
        Raises:
            ShapeError: x has another shape, dtype or device than the layer.
        """
        if self._stream is not None:
            y = torch.empty_like(self._output)
            try:  # and look at x if that fails: looking at it each time takes a tenth of a small step
                self._stream.step(array(x.resolve_neg() if x.is_neg() else x), array(y), kernels.threads())
            except (AttributeError, TypeError, ValueError, RuntimeError, BufferError):
                given, x = x, self._checked(x)
                if x is given and x.is_contiguous():  # then it is something else, and no step may be done twice
                    raise
                self._stream.step(array(whole(x)), array(y), kernels.threads())
            return y
        x = self._checked(x)
        with torch.no_grad():
            output, self._state = run_stack(
                "torch", self._options, self._weights, x.unsqueeze(0), self._state, None, 0.0, training=False
            )
        return output[0]

    def _checked(self, x: Any) -> Tensor:
        """x, in float32 where autocast has made less of it."""
        if isinstance(x, Tensor) and self._dtype == torch.float32:
            x, _ = native.uncast(x, None)
        if not isinstance(x, Tensor) or x.shape != self._shape or x.dtype != self._dtype or x.device != self._device:
            raise ShapeError(self._misfit(x)) from None
        if x.layout != torch.strided:
            raise ShapeError(f"x must be dense, but its layout is {x.layout}; see Tensor.to_dense") from None
        return x

    def _misfit(self, x: Any) -> str:
        wanted = f"(batch, input_size) = {tuple(self._shape)} of {self._dtype} on {self._device}"
        if not isinstance(x, Tensor):
            return f"x must be a tensor {wanted}, but is of type {type(x).__name__}; see torch.as_tensor"
        return f"x must be {wanted}, but is {tuple(x.shape)} of {x.dtype} on {x.device}"

    @property
    def state(self) -> Any:
        """What the layer would return as its state now: h_n, or (h_n, c_n) for an LSTM; a copy. Zeros at first."""
        return write_state(self._options, self._read(), batched=True)

    @state.setter
    def state(self, hx: Any) -> None:
        states = read_state(self._options, hx, self._batch, batched=True, dtype=self._dtype)
        if self._stream is None:
            self._state = [tuple(part.detach().clone() for part in state) for state in states]
            return
        for level, state in enumerate(states):
            for cell, part in enumerate(state):
                self._stream.write(level, bool(cell), array(whole(part.detach()[0])))

    def __repr__(self) -> str:
        sizes = ", ".join(map(str, (self._options.input_size, *self._options.hidden_size)))
        backend = "torch" if self._stream is None else "native"
        return f"Stream({self._options.cell}: {sizes}, batch={self._batch}, backend={backend!r})"

    def _read(self) -> list[State]:
        like = torch.empty(0, dtype=self._dtype, device=self._device)
        states = zero_state(self._options, self._batch, like)
        if self._stream is None:
            return states if self._state is None else [tuple(p.clone() for p in state) for state in self._state]
        for level, state in enumerate(states):
            for cell, part in enumerate(state):
                self._stream.read(level, bool(cell), array(part[0]))
        return states
