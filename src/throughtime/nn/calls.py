"""One layer on the native core: torch tensors in and out. Autograd is added in `native` and `operators`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from throughtime import kernels
from throughtime.kernels import BatchPlan, NativeLayer
from throughtime.nn.arrays import array, whole, with_whole_features
from throughtime.nn.masks import LayerMasks
from throughtime.nn.packing import BACKWARD, FORWARD, packed
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import ShapeError

DTYPES: Final = {torch.float32: "float32", torch.float64: "float64"}

_LARGE: Final = 2 << 20
"""Bytes: a huge page. C libraries may give larger blocks back to the system, and fresh pages cost time each step."""


@dataclass(frozen=True)
class LayerCall:
    """One layer of a stack, for one dtype.

    options: of this layer alone.
    """

    options: LayerOptions
    kernels: NativeLayer


@lru_cache(maxsize=256)
def layer_call(options: LayerOptions, dtype: torch.dtype, masked: bool) -> LayerCall:
    """The call of a layer with these options, as they act (one hidden_size). masked: masks will come with it."""
    return LayerCall(options, kernels.layer(options, 0, DTYPES[dtype], masked=masked))


def plan_of(x: Tensor, lengths: Tensor | None, by_step: bool) -> BatchPlan:
    """The order of work.

    Args:
        x: padded (seq_len, batch, features); or without padding (tokens, features), with lengths: sequences end to end,
            or with `by_step` the data of a packed sequence, whose lengths fall.

    Raises:
        ShapeError: lengths are not (batch,) integers in 1..seq_len.
    """
    if lengths is None:
        return _whole_plan(x.shape[0], x.shape[1])
    if lengths.dim() != 1 or lengths.dtype.is_floating_point or lengths.dtype == torch.bool:
        raise ShapeError(
            f"lengths must be (batch,) integers, but its shape is {tuple(lengths.shape)} and its dtype {lengths.dtype}"
        )
    if x.dim() == 3:
        return BatchPlan(x.shape[0], x.shape[1], lengths.tolist())
    return BatchPlan(int(lengths.max()), len(lengths), lengths.tolist(), by_step)


@lru_cache(maxsize=32)
def _whole_plan(seq_len: int, batch: int) -> BatchPlan:
    return BatchPlan(seq_len, batch, None)


def new_inside(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Uninitialised, of x's dtype, for what no caller sees: if large, in memory that the core keeps between calls."""
    return _new(x, shape, result=False)


def new_result(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same for output and gradients, which callers get. As an array of NumPy, a large one cannot be resized."""
    return _new(x, shape, result=True)


def _new(x: Tensor, shape: Sequence[int], *, result: bool) -> Tensor:
    size = math.prod(shape) * x.element_size()
    if size < _LARGE:
        return x.new_empty(shape)
    # Shaped before torch sees it: what an autograd function returns, were it a view, could not be changed in its place.
    return torch.from_numpy(kernels.take_memory(size, result=result).view(DTYPES[x.dtype]).reshape(shape))


def new_results(
    call: LayerCall,
    x: Tensor,
    lengths: Tensor | None,
    save: bool,
    tokens: int | None = None,
    *,
    fake: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Uninitialised output, h_n, c_n (empty but for an LSTM) and what backward needs (empty without `save`).

    Args:
        tokens: real steps of all sequences; None where they are not known, as if all sequences were whole.
        fake: x has no values, nor shall these.
    """
    new_y, new_saved = (Tensor.new_empty, Tensor.new_empty) if fake else (new_result, new_inside)
    steps = x.shape[:-1]
    batch = x.shape[1] if lengths is None else lengths.shape[0]
    directions = call.options.num_directions
    y = new_y(x, (*steps, directions * call.options.output_features(0)))
    h_n, c_n = new_ends(call, x, batch)
    width = call.kernels.saved_width
    rows = math.prod(steps) if tokens is None else tokens
    saved = new_saved(x, (directions, rows, width) if save and width else (0,))
    return y, h_n, c_n, saved


def new_ends(call: LayerCall, x: Tensor, batch: int) -> tuple[Tensor, Tensor]:
    """Uninitialised h_n, and c_n: empty but for an LSTM."""
    options, directions = call.options, call.options.num_directions
    h_n = x.new_empty(directions, batch, options.output_features(0))
    if options.has_cell_state and not options.proj_size:
        return h_n, torch.empty_like(h_n)
    c_n = x.new_empty((directions, batch, options.hidden_size[0]) if options.has_cell_state else 0)
    return h_n, c_n


def pack(call: LayerCall, weights: Sequence[Tensor], *passes: bool) -> list[list[Tensor]]:
    """For each of `passes` (packing.FORWARD, BACKWARD) each direction's weights in its layout."""
    count = len(weights) // call.options.num_directions
    by_direction = [
        packed(call.kernels, call.options, 0, weights[d : d + count], *passes) for d in range(0, len(weights), count)
    ]
    return [list(of_pass) for of_pass in zip(*by_direction, strict=True)]


def forward(
    call: LayerCall,
    plan: BatchPlan,
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Tensor],
    save: bool,
    ids: Tensor | None = None,
    masks: LayerMasks | None = None,
    *,
    padded: bool = False,
    packs: Sequence[Tensor] | None = None,
    results: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `new_results` names, computed.

    Args:
        x, lengths: as of the plan. With ids (see `token_ids`): x (rows, input_size), of which each token has one.
        h_0, c_0: (num_directions, batch, features of h, or hidden_size), or None for zeros.
        weights: of all directions, in the order of `spec.cells.direction_shapes`.
        masks: of each direction, in the layout of x, where the call was made for masks.
        padded: what backward needs has room for padding: for operators, whose shapes must not depend on lengths.
        packs: what `pack` made of the weights; None: whatever is kept of them.
        results: what `new_results` made, to be written to; None: new ones.
    """
    x = with_whole_features(x)
    steps = x if ids is None else x.new_empty(()).expand(plan.tokens, 1)
    if results is None:
        results = new_results(call, steps, lengths, save, None if padded else plan.tokens)
    y, h_n, c_n, saved = results
    by_direction = pack(call, weights, FORWARD)[0] if packs is None else packs
    call.kernels.forward(
        plan,
        array(x) if ids is None else None,
        [array(part) for part in by_direction],
        _state(h_0),
        _state(c_0),
        array(y),
        array(h_n),
        array(c_n) if call.options.has_cell_state else None,
        _tokens(saved, plan),
        () if ids is None else [array(_project(call, part, x)) for part in by_direction],
        None if ids is None else array(ids),
        kernels.threads(),
        _masks(masks),
    )
    return results


def token_ids(plan: BatchPlan, index: Tensor) -> Tensor:
    """`index` (tokens,), in the order of the input, as int32 in the order in which the core numbers tokens."""
    given = whole(index.to(torch.int32))
    ids = torch.empty_like(given)
    plan.by_token(array(given), array(ids))
    return ids


def _project(call: LayerCall, packed_weights: Tensor, x: Tensor) -> Tensor:
    projected = new_inside(x, (len(x), call.kernels.input_width))
    call.kernels.project(array(packed_weights), array(x), array(projected), kernels.threads())
    return projected


def new_gradients(
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Tensor],
    wanted: Sequence[bool],
    *,
    fake: bool = False,
) -> list[Tensor | None]:
    """Uninitialised gradients of x, h_0, c_0 and each weight; None where not `wanted`, or not there.

    fake: see `new_results`.
    """
    results: list[Tensor | None] = []
    for tensor, want in zip((x, h_0, c_0, *weights), wanted, strict=True):
        if not want or tensor is None:
            results.append(None)
        elif fake or tensor.nbytes < _LARGE:
            results.append(torch.empty_like(tensor, memory_format=torch.contiguous_format))
        else:
            results.append(new_result(tensor, tensor.shape))
    return results


def new_d_gates(call: LayerCall, x: Tensor, tokens: int) -> list[Tensor]:
    """Uninitialised, what backward needs between its sweep through time and the products of all steps."""
    return [new_inside(x, (tokens, call.kernels.gates_width)) for _ in range(call.options.num_directions)]


def backward(
    call: LayerCall,
    plan: BatchPlan,
    x: Tensor,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Tensor],
    y: Tensor,
    saved: Tensor,
    d_y: Tensor | None,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    wanted: Sequence[bool],
    ids: Tensor | None = None,
    masks: LayerMasks | None = None,
    *,
    packs: Sequence[Tensor] | None = None,
    results: list[Tensor | None] | None = None,
    d_gates: Sequence[Tensor] | None = None,
) -> list[Tensor | None]:
    """What `new_gradients` names, computed from upstream gradients (None: zeros).

    Args:
        packs, results: see `forward`; results as `new_gradients` makes them, which then says what is wanted.
        d_gates: what `new_d_gates` made, to be written to; None: new ones.
    """
    x = with_whole_features(x)
    results = new_gradients(x, h_0, c_0, weights, wanted) if results is None else results
    count = len(weights) // call.options.num_directions
    # With ids, those of x and of each weight_ih come from sums over the tokens of each row.
    later = () if ids is None else (0, *range(3, len(results), count))
    d_x, d_h_0, d_c_0, *d_weights = (
        None if result is None or place in later else array(result) for place, result in enumerate(results)
    )
    by_direction = pack(call, weights, BACKWARD)[0] if packs is None else packs
    d_gates = new_d_gates(call, x, plan.tokens) if d_gates is None else d_gates
    call.kernels.backward(
        plan,
        array(x) if ids is None else None,
        [array(part) for part in by_direction],
        _state(h_0),
        _state(c_0),
        array(y),
        _tokens(saved, plan),
        array(_zeros(y) if d_y is None else with_whole_features(d_y)),
        _state(d_h_n),
        _state(d_c_n) if call.options.has_cell_state else None,
        [array(part) for part in d_gates],
        d_x,
        d_h_0,
        d_c_0,
        [kernels.by_kind(call.options, 0, d_weights[d : d + count]) for d in range(0, len(weights), count)],
        kernels.threads(),
        _masks(masks),
    )
    if ids is not None and any(results[place] is not None for place in later):
        d_x = results[0]
        for direction, (weights_packed, gates) in enumerate(zip(by_direction, d_gates, strict=True)):
            place = later[1 + direction]
            d_rows = d_x if d_x is None or direction == 0 else new_inside(x, x.shape)
            _project_backward(call, plan, weights_packed, x, gates, ids, d_rows, results[place])
            if direction == 1 and d_x is not None and d_rows is not None:
                d_x.add_(d_rows)
    return results


def _project_backward(
    call: LayerCall,
    plan: BatchPlan,
    packed_weights: Tensor,
    x: Tensor,
    d_gates: Tensor,
    ids: Tensor,
    d_x: Tensor | None,
    d_weight_ih: Tensor | None,
) -> None:
    """Writes one direction's gradients of x and of weight_ih."""
    threads = kernels.threads()
    d_projected = new_inside(x, (len(x), call.kernels.input_width))
    call.kernels.scatter(plan, array(d_gates), array(ids), array(d_projected), threads)
    call.kernels.project_backward(
        array(packed_weights),
        array(x),
        array(d_projected),
        None if d_x is None else array(d_x),
        None if d_weight_ih is None else array(d_weight_ih),
        threads,
    )


def _tokens(saved: Tensor, plan: BatchPlan) -> list[Any]:
    if saved.dim() != 3:
        return []
    real = saved if saved.shape[1] == plan.tokens else saved[:, : plan.tokens]
    return [array(part) for part in real.unbind()]


def _masks(masks: LayerMasks | None) -> list[list[Any]]:
    return [] if masks is None else [[_bytes(m.zoneout_h), _bytes(m.zoneout_c), _state(m.recurrent)] for m in masks]


def _bytes(mask: Tensor | None) -> Any:
    return None if mask is None else array(with_whole_features(mask).view(torch.uint8))


def _state(tensor: Tensor | None) -> Any:
    return None if tensor is None else array(whole(tensor))


def _zeros(like: Tensor) -> Tensor:
    """Zeros `with_whole_features`, of one step of one sequence where that will do: for a loss on the last state."""
    return torch.zeros_like(like) if like.dim() == 2 else like.new_zeros(like.shape[-1]).expand(like.shape)
