"""A whole stack: layers, directions, lengths, initial states; forward, and backward through time.

Derivation: docs/derivations/stacking-and-lengths.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from throughtime.equations.arrays import Array, Indices, Parameters, float64, float64_each
from throughtime.equations.direction import Direction
from throughtime.equations.lengths import at_last_step, checked_lengths, reversed_within
from throughtime.equations.masks import checked_masks
from throughtime.equations.sequence import SequenceTrace, run, run_back
from throughtime.equations.truncation import Window, windows
from throughtime.spec.cells import LayerOptions, direction_shapes, parameter_shapes, suffix
from throughtime.spec.errors import OptionError, ShapeError
from throughtime.spec.masks import Masks

Layers: TypeAlias = Sequence[ArrayLike]
"""A state of the whole stack: one array a layer, each (num_directions, batch, features).

The features of h are the layer's proj_size or, without a projection, its hidden_size; those of c its hidden_size.
"""


@dataclass(frozen=True)
class Trace:
    """Result of `forward`, and what `backward` needs.

    output (seq_len, batch, output_size): of the last layer, forward direction first, exactly 0 past a length.
    h_n, c_n: the states at each sequence's last real step (for the reverse direction: its first), one entry a layer,
    (num_directions, batch, features); c_n is empty unless the cell is LSTM.
    """

    output: Array
    h_n: list[Array]
    c_n: list[Array]
    options: LayerOptions
    parameters: dict[str, Array]
    lengths: Indices
    layers: list[list[SequenceTrace]]


@dataclass(frozen=True)
class Gradients:
    """Result of `backward`: each the gradient of the argument of `forward` that it is named after, in its shape.

    d_h_0, d_c_0: one entry a layer, (num_directions, batch, features); d_c_0 is empty unless the cell is LSTM.
    """

    d_input: Array
    d_parameters: dict[str, Array]
    d_h_0: list[Array]
    d_c_0: list[Array]


def forward(
    options: LayerOptions,
    parameters: Mapping[str, ArrayLike],
    input: ArrayLike,  # noqa: A002  (the name that torch and the field use)
    lengths: ArrayLike | None = None,
    state: Layers | tuple[Layers, Layers] | None = None,
    masks: Sequence[Sequence[Masks[ArrayLike]]] | None = None,
) -> Trace:
    """Run a stack of recurrent layers, in float64.

    Args:
        options: the stack.
        parameters: by the names and shapes of `spec.cells.parameter_shapes(options)`.
        input: (seq_len, batch, input_size); what stands past a sequence's length is never read.
        lengths: (batch,) integers from 1 to seq_len, in any order; None: all seq_len.
        state: (h_0, c_0) for LSTM, h_0 for all others, each one array a layer, (num_directions, batch, features);
            None: zeros.
        masks: the random numbers of a training call, one `Masks` a direction of each layer; zoneout's are
            (seq_len, batch, features), and what stands in them past a length is never used. None, or one that is None:
            not training, that is no dropout, and zoneout mixes old and new by its shares.
    Raises:
        ShapeError: an argument has the wrong shape; the message says which, and both shapes.
        OptionError: a mask of an option that is off.
    """
    values = float64_each(parameters, parameter_shapes(options))
    x = np.asarray(input, dtype=np.float64)
    if x.ndim != 3 or x.shape[2] != options.input_size or x.shape[0] < 1:
        rule = f"(seq_len >= 1, batch, input_size) = (…, …, {options.input_size})"
        raise ShapeError(f"input must be {rule}, but is {x.shape}")
    seq_len, batch, _ = x.shape
    checked = checked_lengths(lengths, seq_len, batch)
    initial = _state_parts(options, state, ("h_0", "c_0"), batch)
    all_masks = checked_masks(options, masks, seq_len, batch)

    layers: list[list[SequenceTrace]] = []
    for layer in range(options.num_layers):
        directions: list[SequenceTrace] = []
        for direction in range(options.num_directions):
            own_parameters = _of_direction(options, values, layer, direction)
            own_masks = _own_masks(all_masks[layer][direction], checked, direction)
            start = tuple(part[layer][direction] for part in initial)
            own_x = _own_time(x, checked, direction)
            directions.append(run(Direction(options, own_parameters, own_masks), own_x, start, checked))
        layers.append(directions)
        outputs = [_own_time(trace.output, checked, direction) for direction, trace in enumerate(directions)]
        x = np.concatenate(outputs, axis=2)  # stacking-and-lengths.md (4)

    h_n, *c_n = [
        [np.stack([trace.last[part] for trace in directions]) for directions in layers] for part in range(len(initial))
    ]
    return Trace(x, h_n, c_n[0] if c_n else [], options, values, checked, layers)


def backward(
    trace: Trace,
    d_output: ArrayLike | None,
    d_h_n: Layers | None = None,
    d_c_n: Layers | None = None,
    *,
    truncation: tuple[int, int] | None = None,
) -> Gradients:
    """Back-propagate through time, in float64: the gradient of E with respect to every argument of `forward`.

    Args:
        trace: of `forward`.
        d_output: ∂E/∂output, (seq_len, batch, output_size); what stands past a length is never read. None: zeros.
        d_h_n: ∂E/∂h_n, one array a layer, (num_directions, batch, features). None: zeros.
        d_c_n: the same for c_n; LSTM only.
        truncation: None for the exact gradient; (k1, k2) for the truncated one of docs/derivations/truncation.md.
    Raises:
        ShapeError: an upstream gradient has another shape than what it is the gradient of.
        OptionError: not 1 <= k1 <= k2, truncation of a bidirectional stack, or d_c_n for a cell without c.
    """
    options, lengths = trace.options, trace.lengths
    if truncation is not None and options.bidirectional:
        raise OptionError(
            f"truncation must be None for a bidirectional stack, but is {truncation}: its reverse direction starts at "
            "the sequence's end, so there is no stretch of steps that can be trained before the rest is known"
        )
    if d_c_n is not None and not options.has_cell_state:
        raise OptionError(f"d_c_n must be None for {options.cell}, which has no c: only LSTM has")
    seq_len, batch, output_size = trace.output.shape
    if d_output is None:
        d_output = np.zeros(trace.output.shape)
    errors = float64("d_output", d_output, (seq_len, batch, output_size), "(seq_len, batch, output_size)")
    upstream = (_or_zeros(d_h_n, trace.h_n), _or_zeros(d_c_n, trace.c_n)) if options.has_cell_state else d_h_n
    d_last = _state_parts(options, upstream, ("d_h_n", "d_c_n"), batch)

    d_parameters = {name: np.zeros_like(value) for name, value in trace.parameters.items()}
    d_initial = [[np.zeros_like(layer) for layer in part] for part in d_last]
    d_input = np.zeros((seq_len, batch, options.input_size))
    for window in windows(seq_len, truncation):
        d_layer = _only(errors, window)  # truncation.md (3)
        for layer in reversed(range(options.num_layers)):
            size = options.output_features(layer)
            d_below = np.zeros((seq_len, batch, options.layer_input_size(layer)))
            for direction in range(options.num_directions):
                d_own_output = d_layer[:, :, direction * size : (direction + 1) * size]
                # stacking-and-lengths.md (6): h_n and c_n are the states of the last real step, so E reaches them there
                own = [_only(at_last_step(part[layer][direction], lengths, seq_len), window) for part in d_last]
                own[0] += _own_time(d_own_output, lengths, direction)
                d = _of_direction(options, d_parameters, layer, direction)
                d_own_x, d_state = run_back(trace.layers[layer][direction], tuple(own), window, d)
                d_below += _own_time(d_own_x, lengths, direction)  # stacking-and-lengths.md (5)
                if window.start == 0:  # otherwise the state before the window is a constant, truncation.md (4)
                    for part, d_part in zip(d_initial, d_state, strict=True):
                        part[layer][direction] += d_part
            d_layer = d_below
        d_input += d_layer
    return Gradients(d_input, d_parameters, d_initial[0], d_initial[1] if len(d_initial) > 1 else [])


def _of_direction(options: LayerOptions, values: Parameters, layer: int, direction: int) -> Parameters:
    """Those of one direction, by kind: the arrays themselves, not copies."""
    return {kind: values[kind + suffix(layer, direction)] for kind in direction_shapes(options, layer)}


def _own_time(array: Array, lengths: Indices, direction: int) -> Array:
    """From the sequence's order to a direction's own, or back; stacking-and-lengths.md (3)."""
    return reversed_within(array, lengths) if direction else array


def _own_masks(masks: Masks[Array], lengths: Indices, direction: int) -> Masks[Array]:
    """Zoneout's masks are those of the input's own steps: zoneout-and-dropout.md (13)."""
    h, c = (
        None if mask is None else _own_time(mask, lengths, direction) for mask in (masks.zoneout_h, masks.zoneout_c)
    )
    return replace(masks, zoneout_h=h, zoneout_c=c)


def _only(errors: Array, window: Window) -> Array:
    """`errors` (seq_len, …) with zeros at the steps whose errors belong to other windows."""
    result = np.zeros_like(errors)
    result[window.first_error : window.stop] = errors[window.first_error : window.stop]
    return result


def _or_zeros(given: Layers | None, like: list[Array]) -> Layers:
    return [np.zeros_like(layer) for layer in like] if given is None else given


def _state_parts(
    options: LayerOptions, state: Layers | tuple[Layers, Layers] | None, names: tuple[str, str], batch: int
) -> list[list[Array]]:
    """[h], or [h, c] for LSTM: each one checked array a layer."""
    needed = names if options.has_cell_state else names[:1]
    shapes = [
        [(options.num_directions, batch, size) for size in sizes]
        for sizes in ([options.output_features(layer) for layer in range(options.num_layers)], options.hidden_size)
    ]
    if state is None:
        return [[np.zeros(shape) for shape in part] for part in shapes[: len(needed)]]
    parts = cast("Sequence[Layers]", state if options.has_cell_state else [state])
    if len(parts) != len(needed):
        raise ShapeError(f"state of LSTM must be the pair ({', '.join(needed)}), but has {len(parts)} entries")
    rules = ("proj_size" if options.proj_size else "hidden_size", "hidden_size")
    checked: list[list[Array]] = []
    for name, part, part_shapes, features in zip(needed, parts, shapes, rules, strict=False):
        if len(part) != options.num_layers:
            raise ShapeError(f"{name} must hold one array a layer = {options.num_layers}, but holds {len(part)}")
        rule = f"(num_directions, batch, {features})"
        checked.append(
            [float64(f"{name}[{layer}]", part[layer], shape, rule) for layer, shape in enumerate(part_shapes)]
        )
    return checked
