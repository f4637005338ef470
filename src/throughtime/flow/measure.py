"""`measure`: a layer and a batch in, a `GradientFlow` out. The layer itself is only read."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from throughtime.flow.remedies import layer_remedies
from throughtime.flow.result import GradientFlow
from throughtime.flow.settings import Settings
from throughtime.flow.stack import measure_stack
from throughtime.flow.trace import Trace
from throughtime.nn.base import Recurrent
from throughtime.nn.lengths import Lengths, as_integers, check_lengths
from throughtime.nn.state import read_state, write_state, zero_state
from throughtime.spec.errors import OptionError, ShapeError

Loss: TypeAlias = Callable[[Tensor, Any], Tensor] | Tensor
"""(output, state) as a layer's `forward` returns them, but the output of a PackedSequence padded → a scalar; or
∂L/∂output itself, in the shape of that output."""


@runtime_checkable
class Measurable(Protocol):
    """A whole model that can measure itself: `measure` hands it the batch and the settings."""

    def gradient_flow(self, *batch: Any, **settings: Any) -> GradientFlow: ...


def measure(
    model: Recurrent | Measurable,
    batch: Any,
    hx: Any = None,
    lengths: Lengths | None = None,
    *,
    loss: Loss | None = None,
    **settings: Any,
) -> GradientFlow:
    """Measures the flow of gradients through time, in evaluation mode and float64, whatever the layer's backend.

    Nothing of the model changes: no gradient, no training flag, no state of a random generator.

    Args:
        model: a layer of `throughtime.nn`; or a model with a method `gradient_flow`, such as a fitted `TextClassifier`
            (`TextClassifier.load(DIR)` for a model directory).
        batch: a layer's input, as its `forward` takes it: (seq_len, batch, input_size), (batch, seq_len, input_size)
            with batch_first, unbatched, or a PackedSequence. For another model the arguments of its `gradient_flow`:
            (texts, labels).
        hx, lengths: as a layer's `forward` takes them.
        loss: L, as a function of what `forward` returns, (output, state), to a scalar; or a tensor, ∂L/∂output. With a
            PackedSequence the output is not packed but padded with zeros, as `pad_packed_sequence` gives it. Where
            None, L is the last layer's final state h_n (both directions side by side) along one random direction of
            length 1, summed over the batch: at the end of every sequence ‖∂L/∂h_T‖ is then 1 in the last layer, if it
            has one direction.
        settings: sequences, exponents, samples, lags, exact, seed: see `Settings`.
    Raises:
        ShapeError: the batch, hx or lengths do not fit the layer, or the loss is no scalar.
        OptionError: a setting that does not exist or has a wrong value, or a layer whose weights or states, or a loss
            that or whose derivative, is not finite.

    >>> flow = measure(throughtime.nn.LSTM(2, 64), torch.randn(100, 8, 2))  # doctest: +SKIP
    >>> flow.verdict, flow.advice  # doctest: +SKIP
    """
    if loss is not None and not isinstance(loss, Tensor) and not callable(loss):
        raise OptionError(f"loss must be a function of (output, state) or a tensor, but is {loss!r}")
    if isinstance(model, Recurrent):
        return _measure_layer(model, batch, hx, lengths, loss, Settings.read(settings))
    if not isinstance(model, Measurable):
        raise OptionError(
            f"{type(model).__name__} cannot be measured: give a layer of throughtime.nn (it takes a torch layer's "
            "state_dict as it is), or a fitted TextClassifier (TextClassifier.load(DIR) for a model directory)"
        )
    given = {"hx": hx, "lengths": lengths, "loss": loss}
    if unfit := [name for name, value in given.items() if value is not None]:
        raise OptionError(f"{', '.join(unfit)} must be None for a {type(model).__name__}, which has its own loss")
    return model.gradient_flow(*(batch if isinstance(batch, tuple) else (batch,)), **settings)


def _measure_layer(
    layer: Recurrent, batch: Any, hx: Any, lengths: Lengths | None, loss: Loss | None, settings: Settings
) -> GradientFlow:
    if isinstance(batch, PackedSequence):
        if lengths is not None:
            raise OptionError("lengths must be None with a PackedSequence, which brings its own")
        batch, lengths = pad_packed_sequence(batch, batch_first=layer.batch_first)
    given = torch.as_tensor(batch)
    if given.dim() not in (2, 3):
        raise ShapeError(f"input must have 2 axes (unbatched) or 3, but has {given.dim()}: {tuple(given.shape)}")
    batched = given.dim() == 3
    if not batched:
        given = given.unsqueeze(1)
    elif layer.batch_first:
        given = given.transpose(0, 1)
    if given.shape[-1] != layer.input_size or not given.numel():
        raise ShapeError(
            "input must have at least one step and one sequence, and input_size features, but is (seq_len, batch, "
            f"features) = {tuple(given.shape)} with input_size {layer.input_size}"
        )
    x = as_float64(given)
    ragged = None
    if lengths is not None:
        ragged = check_lengths(as_integers("lengths", lengths).reshape(-1), x.shape[0], x.shape[1], x.device)
    states = zero_state(layer.options, x.shape[1], x)
    if hx is not None:
        states = read_state(layer.options, hx, x.shape[1], batched, None)
    return measure_stack(
        layer.options,
        layer.all_weights,
        x,
        states,
        ragged,
        _default_loss(settings.seed) if loss is None else _given_loss(layer, loss, batched=batched),
        settings,
        model=repr(layer),
        loss="h_n of the last layer along a random direction, summed" if loss is None else "as given",
        remedies=layer_remedies(layer),
    )


def _default_loss(seed: int) -> Callable[[Trace], Tensor]:
    def loss_of(trace: Trace) -> Tensor:
        h_n = trace.after[-1][0].transpose(0, 1).flatten(1)
        direction = torch.randn(h_n.shape[1], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        total: Tensor = (h_n @ (direction / direction.norm())).sum()
        return total

    return loss_of


def _given_loss(layer: Recurrent, loss: Loss, *, batched: bool) -> Callable[[Trace], Tensor]:
    """The user's loss, on what `forward` would return: in the layer's layout, dtype and place."""
    like = layer.all_weights[0][0]

    def loss_of(trace: Trace) -> Tensor:
        output = trace.output.to(like.device, like.dtype)
        if not batched:
            output = output.squeeze(1)
        elif layer.batch_first:
            output = output.transpose(0, 1)
        if isinstance(loss, Tensor):
            if loss.shape != output.shape:
                raise ShapeError(
                    f"a loss that is ∂L/∂output must have the output's shape, but {tuple(loss.shape)} != "
                    f"{tuple(output.shape)}"
                )
            return (output * loss.detach().to(like.device, like.dtype)).sum()
        after = [tuple(part.to(like.device, like.dtype) for part in state) for state in trace.after]
        return loss(output, write_state(layer.options, after, batched))

    return loss_of


def as_float64(tensor: Tensor) -> Tensor:
    """A copy of its own on the CPU, outside of any graph and of inference mode."""
    with torch.inference_mode(False):
        return tensor.detach().to("cpu", torch.float64, copy=True)
