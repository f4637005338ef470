"""One layer on the native core, as operators that torch knows, with autograd and with fakes for torch.compile.

`layer_forward` and `layer_backward` are one layer, both directions. What autograd cannot do with them goes through
torch operations: second derivatives in `_differentiable_backward`; forward mode and vmap, for which input is `unfit`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from throughtime import kernels
from throughtime.kernels import BatchPlan, NativeLayer
from throughtime.nn import plain
from throughtime.nn.lengths import check_lengths
from throughtime.nn.packing import packed
from throughtime.nn.state import State, zero_state
from throughtime.spec.cells import NONLINEARITIES, LayerOptions
from throughtime.spec.errors import ShapeError

_CELLS = ("RNN", "GRU", "LSTM")
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def unfit(x: Tensor, weights: Sequence[Tensor]) -> str | None:
    """Why the native core cannot run this input; None if it can."""
    if not kernels.available():
        return kernels.why_not()
    if x.dtype not in _DTYPES:
        return f"it computes in float32 and float64, but the dtype is {x.dtype}"
    if any(tensor.device.type != "cpu" for tensor in (x, *weights)):
        return f"it runs on the CPU, but the input is on {x.device}"
    if any(weight.dtype != x.dtype for weight in weights) or torch.is_autocast_enabled("cpu"):
        return "it does not run under autocast, nor with weights of another dtype"
    if x.numel() == 0:
        return "it needs at least one sequence"
    if transformed():
        return (
            "it has no forward-mode derivatives, and does not run under torch.func's transformations or torch.jit.trace"
        )
    return None


def transformed() -> bool:
    """Whether operations are being differentiated forwards, mapped or traced, which only torch's own support."""
    if torch.compiler.is_compiling():
        return False
    return (
        torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        or forward_ad._current_level >= 0
        or torch._C._functorch.peek_interpreter_stack() is not None
    )


def run_layer(
    options: LayerOptions,
    index: int,
    weights: Sequence[Sequence[Tensor]],
    x: Tensor,
    state: State | None,
    lengths: Tensor | None,
) -> tuple[Tensor, State]:
    """Layer `index` of a stack over (seq_len, batch, features).

    Args:
        weights: one entry a direction.
        state: (h_0,) or (h_0, c_0), each (num_directions, batch, hidden_size); None for zeros.
        lengths: (batch,) integers in 1..seq_len, on the CPU; None where all sequences are whole.
    """
    h_0, c_0 = (None, None) if state is None else (state[0], state[1] if len(state) > 1 else None)
    flat = [weight for direction in weights for weight in direction]
    needs_saved = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, h_0, c_0, *flat)
    )
    y, h_n, c_n, _ = layer_forward(
        x,
        lengths,
        h_0,
        c_0,
        flat,
        _CELLS.index(options.cell),
        NONLINEARITIES.index(options.nonlinearity),
        options.reset_after,
        options.hidden_size[index],
        options.num_directions,
        needs_saved,
    )
    return y, (h_n, c_n) if options.cell == "LSTM" else (h_n,)


@torch.library.custom_op("throughtime::layer_forward", mutates_args=())
def layer_forward(
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    cell: int,
    nonlinearity: int,
    reset_after: bool,
    hidden_size: int,
    directions: int,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, h_n, c_n (empty but for an LSTM), and what backward needs (empty without `save`)."""
    layer = _layer(x, cell, nonlinearity, reset_after, hidden_size, directions)
    seq_len, batch = x.shape[:2]
    plan = _plan(seq_len, batch, lengths)
    y, h_n, c_n, saved = _results(layer, x, cell, hidden_size, directions, save)
    layer.forward(
        plan,
        _features_contiguous(x),
        [packed(layer, part, backward=False) for part in _by_direction(weights, directions)],
        _whole(h_0),
        _whole(c_0),
        y,
        h_n,
        c_n if cell == 2 else None,
        _tokens(saved, plan),
        [],
        None,
        kernels.threads(),
    )
    return y, h_n, c_n, saved


@layer_forward.register_fake
def _(
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    cell: int,
    nonlinearity: int,
    reset_after: bool,
    hidden_size: int,
    directions: int,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    layer = _layer(x, cell, nonlinearity, reset_after, hidden_size, directions)
    return _results(layer, x, cell, hidden_size, directions, save)


@torch.library.custom_op("throughtime::layer_backward", mutates_args=())
def layer_backward(
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    y: Tensor,
    saved: Tensor,
    d_y: Tensor,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    wanted: list[bool],
    cell: int,
    nonlinearity: int,
    reset_after: bool,
    hidden_size: int,
    directions: int,
) -> list[Tensor]:
    """Gradients of x, h_0, c_0 and each weight; empty where not `wanted`."""
    layer = _layer(x, cell, nonlinearity, reset_after, hidden_size, directions)
    seq_len, batch = x.shape[:2]
    plan = _plan(seq_len, batch, lengths)
    results = _gradients(x, h_0, c_0, weights, wanted)
    d_x, d_h_0, d_c_0, *d_weights = (result if want else None for result, want in zip(results, wanted, strict=True))
    count = len(weights) // directions
    layer.backward(
        plan,
        _features_contiguous(x),
        [packed(layer, part, backward=True) for part in _by_direction(weights, directions)],
        _whole(h_0),
        _whole(c_0),
        y.detach(),
        _tokens(saved.detach(), plan),
        _features_contiguous(d_y),
        _whole(d_h_n),
        _whole(d_c_n),
        [x.new_empty(plan.tokens, layer.gates_width) for _ in range(directions)],
        d_x,
        d_h_0,
        d_c_0,
        [[*d_weights[d * count : (d + 1) * count], None, None][:4] for d in range(directions)],
        kernels.threads(),
    )
    return results


@layer_backward.register_fake
def _(
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    y: Tensor,
    saved: Tensor,
    d_y: Tensor,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    wanted: list[bool],
    cell: int,
    nonlinearity: int,
    reset_after: bool,
    hidden_size: int,
    directions: int,
) -> list[Tensor]:
    return _gradients(x, h_0, c_0, weights, wanted)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, lengths, h_0, c_0, weights, *ctx.settings, ctx.save = inputs
    y, _, _, saved = output
    ctx.mark_non_differentiable(saved)
    ctx.set_materialize_grads(False)
    ctx.count = len(weights)
    ctx.save_for_backward(x, lengths, h_0, c_0, y, saved, *weights)


def _backward(
    ctx: Any, d_y: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None, _: Tensor | None
) -> tuple[Any, ...]:
    x, lengths, h_0, c_0, y, saved, *weights = ctx.saved_tensors
    cell = ctx.settings[0]
    needs = ctx.needs_input_grad
    wanted = [
        needs[0],
        needs[2],
        needs[3],
        *(needs[4] if isinstance(needs[4], (list, tuple)) else [needs[4]] * ctx.count),
    ]
    if cell != 2:
        d_c_n = None
    gradients: Sequence[Tensor | None]
    if torch.is_grad_enabled():
        gradients = _differentiable_backward(ctx.settings, x, lengths, h_0, c_0, weights, wanted, (d_y, d_h_n, d_c_n))
    else:
        d_y = torch.zeros_like(y) if d_y is None else d_y
        gradients = layer_backward(x, lengths, h_0, c_0, weights, y, saved, d_y, d_h_n, d_c_n, wanted, *ctx.settings)
    results = [gradient if want else None for gradient, want in zip(gradients, wanted, strict=True)]
    return (results[0], None, results[1], results[2], results[3:], None, None, None, None, None, None)


torch.library.register_autograd("throughtime::layer_forward", _backward, setup_context=_setup_context)


def _differentiable_backward(
    settings: Sequence[Any],
    x: Tensor,
    lengths: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Tensor],
    wanted: Sequence[bool],
    upstream: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The gradients as torch operations on their own inputs, so that they can be differentiated again."""
    cell, nonlinearity, reset_after, hidden_size, directions = settings
    options = LayerOptions(
        cell=_CELLS[cell],  # type: ignore[arg-type]
        input_size=x.shape[2],
        hidden_size=(hidden_size,),
        bias=len(weights) // directions == 4,
        bidirectional=directions == 2,
        nonlinearity=NONLINEARITIES[nonlinearity],
        reset_after=reset_after,
    )
    seq_len, batch = x.shape[:2]
    ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, x.device)
    state = zero_state(options, batch, x)[0] if h_0 is None else (h_0,) if c_0 is None else (h_0, c_0)
    layer_weights = [tuple(part) for part in _by_direction(weights, directions)]
    y, [after] = plain.run_stack(options, [layer_weights], x, [state], ragged, 0.0, training=False, by_steps=True)
    pairs = [(value, d) for value, d in zip((y, *after), upstream, strict=False) if d is not None]
    candidates = zip((x, h_0, c_0, *weights), wanted, strict=True)
    inputs = [tensor for tensor, want in candidates if want and tensor is not None]
    found = iter(
        torch.autograd.grad(
            [value for value, _ in pairs], inputs, [d for _, d in pairs], create_graph=True, allow_unused=True
        )
    )
    return [next(found) if want else None for want in wanted]


def _layer(
    x: Tensor, cell: int, nonlinearity: int, reset_after: bool, hidden_size: int, directions: int
) -> NativeLayer:
    options = LayerOptions(
        cell=_CELLS[cell],  # type: ignore[arg-type]
        input_size=int(x.shape[2]),
        hidden_size=(hidden_size,),
        bidirectional=directions == 2,
        nonlinearity=NONLINEARITIES[nonlinearity],
        reset_after=reset_after,
    )
    return kernels.layer(options, 0, _DTYPES[x.dtype])


def _results(
    layer: NativeLayer, x: Tensor, cell: int, hidden_size: int, directions: int, save: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    seq_len, batch = x.shape[:2]
    y = x.new_empty(seq_len, batch, directions * hidden_size)
    h_n = x.new_empty(directions, batch, hidden_size)
    c_n = x.new_empty(directions, batch, hidden_size) if cell == 2 else x.new_empty(0)
    # As if all sequences were whole: how many tokens there are stands in `lengths`, which shapes must not depend on.
    # What is not written to costs no memory.
    saved = x.new_empty(directions, seq_len * batch, layer.saved_width) if save else x.new_empty(0)
    return y, h_n, c_n, saved


def _gradients(
    x: Tensor, h_0: Tensor | None, c_0: Tensor | None, weights: Sequence[Tensor], wanted: Sequence[bool]
) -> list[Tensor]:
    return [
        tensor.new_empty(tensor.shape) if want and tensor is not None else x.new_empty(0)
        for tensor, want in zip((x, h_0, c_0, *weights), wanted, strict=True)
    ]


def _plan(seq_len: int, batch: int, lengths: Tensor | None) -> BatchPlan:
    if lengths is None:
        return BatchPlan(seq_len, batch, None)
    if lengths.dim() != 1 or lengths.dtype.is_floating_point or lengths.dtype == torch.bool:
        raise ShapeError(
            f"lengths must be (batch,) integers, but its shape is {tuple(lengths.shape)} and its dtype {lengths.dtype}"
        )
    return BatchPlan(seq_len, batch, lengths.tolist())


def _tokens(saved: Tensor, plan: BatchPlan) -> list[Tensor]:
    return [part[: plan.tokens] for part in saved] if saved.numel() else []


def _by_direction(weights: Sequence[Tensor], directions: int) -> list[list[Tensor]]:
    count = len(weights) // directions
    return [list(weights[d * count : (d + 1) * count]) for d in range(directions)]


def _whole(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().contiguous()


def _features_contiguous(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor if tensor.stride(-1) == 1 or tensor.shape[-1] == 1 else tensor.contiguous()
