"""One layer on the native core, with autograd; and for which input that cannot be done."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from throughtime import kernels
from throughtime.kernels import BatchPlan
from throughtime.nn import calls, operators, plain
from throughtime.nn.acting import of_layer
from throughtime.nn.calls import LayerCall
from throughtime.nn.lengths import Unpadded, check_lengths, rows_of_tokens
from throughtime.nn.masks import LayerMasks, padded
from throughtime.nn.packing import BACKWARD, FORWARD
from throughtime.nn.remembered import remembered
from throughtime.nn.state import State, zero_state
from throughtime.spec.cells import LayerOptions


def unfit(options: LayerOptions, x: Tensor, weights: Sequence[Tensor]) -> str | None:
    """Why the native core cannot run layers with these options, as they act, on this input; None if it can."""
    return unfit_tensors(x, weights) or _lacks(options)


def unfit_tensors(x: Tensor, weights: Sequence[Tensor]) -> str | None:
    """Why the native core cannot run on these tensors, whatever it is to compute; None if it can."""
    if not kernels.available():
        return kernels.why_not()
    dtype = weights[0].dtype if _cast_down(x) and weights[0].dtype == torch.float32 else x.dtype
    if dtype not in calls.DTYPES:
        return f"it computes in float32 and float64, but the dtype is {dtype}"
    for tensor in (x, *weights):
        if not tensor.is_cpu:
            return f"it runs on the CPU, but the input or a weight is on {tensor.device}"
    for weight in weights:
        if weight.dtype != dtype:
            return f"it computes in one dtype, but the input's is {x.dtype} and a weight's {weight.dtype}"
    if x.numel() == 0:
        return "it needs at least one sequence"
    if transformed():
        return "it has no forward-mode derivatives, and does not run in torch.func's transformations or torch.jit.trace"
    return None


def _cast_down(tensor: Tensor) -> bool:
    """Whether autocast may have made this of float32, in which the core computes; there is nothing to gain by less."""
    return tensor.dtype in (torch.bfloat16, torch.float16) and torch.is_autocast_enabled("cpu")


def uncast(x: Tensor, states: Sequence[State] | None) -> tuple[Tensor, Sequence[State] | None]:
    """Input that `unfit` has nothing against, as the core takes it: under autocast, in float32."""
    if not torch.is_autocast_enabled("cpu"):
        return x, states
    x = x.float() if _cast_down(x) else x
    return x, None if states is None else [tuple(p.float() if _cast_down(p) else p for p in s) for s in states]


@remembered
def _lacks(options: LayerOptions) -> str | None:
    lacking = kernels.lacks(options)
    return None if lacking is None else f"it has no {lacking}"


def transformed() -> bool:
    """Whether operations are being differentiated forwards, mapped or traced, which only torch's own support."""
    return mapped() or (not torch.compiler.is_compiling() and torch._C._get_tracing_state() is not None)


def mapped() -> bool:
    """Whether operations are being differentiated forwards or mapped, which not even torch's fused layers support."""
    if torch.compiler.is_compiling():
        # Of torch.func's levels the compiler knows that there are none; where there are, it leaves the graph to look.
        return forward_ad._current_level >= 0 or torch._C._functorch.maybe_current_level() is not None
    return forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None


def run_layer(
    options: LayerOptions,
    layer: int,
    weights: Sequence[Tensor],
    x: Tensor,
    state: State | None,
    lengths: Tensor | None,
    by_step: bool = False,
    index: Tensor | None = None,
    *,
    masks: LayerMasks | None = None,
) -> tuple[Tensor, State]:
    """One layer of a stack, from 0.

    Args:
        weights: of all directions, in torch's order.
        x: padded (seq_len, batch, features); or without padding (tokens, features), with lengths: sequences end to end,
            or with `by_step` the data of a packed sequence, whose lengths fall.
        state: (h_0,) or (h_0, c_0), each (num_directions, batch, hidden_size); None for zeros.
        lengths: (batch,) integers in 1..seq_len, on the CPU; None where all sequences are whole.
        index: without padding, (tokens,) rows of x (rows, features): the input of each token.
        masks: of each direction, in the layout of x; the weights hold theirs already.
    """
    h_0 = None if state is None else state[0]
    c_0 = None if state is None or len(state) == 1 else state[1]
    save = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (x, h_0, c_0, *weights)
    )
    alone = of_layer(options, layer)
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        x = x if index is None else rows_of_tokens(x, index)
        y, h_n, c_n = operators.run(alone, x, lengths, by_step, h_0, c_0, list(weights), masks, save)
    else:
        call = calls.layer_call(alone, x.dtype, masks is not None)
        plan = calls.plan_of(x, lengths, by_step)
        ids = None if index is None else calls.token_ids(plan, index)
        if save and not torch.is_inference_mode_enabled():
            y, h_n, c_n = _Layer.apply(call, plan, by_step, ids, index, masks, x, lengths, h_0, c_0, *weights)  # type: ignore[no-untyped-call]
        else:
            y, h_n, c_n, _ = calls.forward(call, plan, x, lengths, h_0, c_0, weights, False, ids, masks)
    return y, (h_n, c_n) if options.has_cell_state else (h_n,)


class _Layer(torch.autograd.Function):
    """Output, h_n and c_n of one layer."""

    @staticmethod
    def forward(
        ctx: Any,
        call: LayerCall,
        plan: BatchPlan,
        by_step: bool,
        ids: Tensor | None,
        index: Tensor | None,
        masks: LayerMasks | None,
        x: Tensor,
        lengths: Tensor | None,
        h_0: Tensor | None,
        c_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Both at once: to know kept ones by their weights' values, all weights are read.
        packs, packs_back = calls.pack(call, weights, FORWARD, BACKWARD)
        y, h_n, c_n, saved = calls.forward(call, plan, x, lengths, h_0, c_0, weights, True, ids, masks, packs=packs)
        ctx.call, ctx.plan, ctx.by_step, ctx.masks = call, plan, by_step, masks
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, lengths, h_0, c_0, y, saved, ids, index, *packs_back, *weights)
        return y, h_n, c_n

    @staticmethod
    def backward(ctx: Any, d_y: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None) -> tuple[Any, ...]:
        x, lengths, h_0, c_0, y, saved, ids, index, *others = ctx.saved_tensors
        directions = ctx.call.options.num_directions
        packs, weights = others[:directions], others[directions:]
        wanted = [ctx.needs_input_grad[6], *ctx.needs_input_grad[8:]]
        found: Sequence[Tensor | None]
        upstream = (d_y, d_h_n, d_c_n)
        again = torch.is_grad_enabled()
        if again or _batched(upstream):
            given = (ctx.call.options, x, index, lengths, ctx.by_step, h_0, c_0, weights, wanted, upstream, ctx.masks)
            with torch.autocast("cpu", enabled=False):  # as the core, however backward is called
                found = _backward_by_torch(again, *given)
        else:
            call, plan = ctx.call, ctx.plan
            found = calls.backward(
                call, plan, x, h_0, c_0, weights, y, saved, d_y, d_h_n, d_c_n, wanted, ids, ctx.masks, packs=packs
            )
        d_x, *others = found
        return (*[None] * 6, d_x, None, *others)


def _batched(upstream: Sequence[Tensor | None]) -> bool:
    """Whether these are several gradients at once, as of torch.autograd.grad with is_grads_batched."""
    functorch = torch._C._functorch
    given = [d for d in upstream if d is not None]
    return any(functorch.is_legacy_batchedtensor(d) or functorch.is_batchedtensor(d) for d in given)


@torch.enable_grad()
def _backward_by_torch(
    again: bool,
    options: LayerOptions,
    x: Tensor,
    index: Tensor | None,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: Sequence[Tensor],
    wanted: Sequence[bool],
    upstream: Sequence[Tensor | None],
    masks: LayerMasks | None,
) -> list[Tensor | None]:
    """The gradients by torch's operations: they can be mapped, and with `again` differentiated once more."""
    unpadded = None if x.dim() == 3 or lengths is None else Unpadded(lengths, by_step, x.device)
    steps = x if index is None else rows_of_tokens(x, index)
    steps = steps if unpadded is None else unpadded.pad(steps)
    seq_len, batch = steps.shape[:2]
    ragged = None if lengths is None else check_lengths(lengths, seq_len, batch, x.device)
    state = zero_state(options, batch, steps)[0] if h_0 is None else (h_0,) if c_0 is None else (h_0, c_0)
    count = len(weights) // options.num_directions
    by_direction = [tuple(weights[d : d + count]) for d in range(0, len(weights), count)]
    if masks is not None and unpadded is not None:
        masks = padded(masks, unpadded.pad)
    y, [after] = plain.run_stack(
        options,
        [by_direction],
        steps,
        [state],
        ragged,
        0.0,
        training=False,
        by_steps=True,
        masks=None if masks is None else [masks],
    )
    y = y if unpadded is None else unpadded.take(y)
    pairs = [(value, d) for value, d in zip((y, *after), upstream, strict=False) if d is not None]
    candidates = zip((x, h_0, c_0, *weights), wanted, strict=True)
    inputs = [tensor for tensor, want in candidates if want and tensor is not None]
    values, gradients = [value for value, _ in pairs], [d for _, d in pairs]
    found = iter(torch.autograd.grad(values, inputs, gradients, create_graph=again, allow_unused=True))
    return [next(found) if want else None for want in wanted]
