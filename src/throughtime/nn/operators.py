"""The native core as operators that torch's compiler knows, with fake implementations and autograd.

For code that is compiled or exported; called one by one, layers take the shorter way in `native`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from throughtime.nn import calls
from throughtime.nn.calls import LayerCall
from throughtime.spec.cells import NONLINEARITIES, Cell, LayerOptions

_CELLS: tuple[Cell, ...] = ("RNN", "GRU", "LSTM")


def run(
    options: LayerOptions,
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n and c_n (empty but for an LSTM) of one layer."""
    settings = (
        _CELLS.index(options.cell),
        NONLINEARITIES.index(options.nonlinearity),
        options.reset_after,
        options.hidden_size[0],
        options.num_directions,
    )
    y, h_n, c_n, _ = layer_forward(x, lengths, by_step, h_0, c_0, weights, *settings, save)
    return y, h_n, c_n


@torch.library.custom_op("throughtime::layer_forward", mutates_args=())
def layer_forward(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
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
    call = _call(x, cell, nonlinearity, reset_after, hidden_size, directions)
    plan = calls.plan_of(x, lengths, by_step)
    return calls.forward(call, plan, x, lengths, h_0, c_0, weights, save)


@layer_forward.register_fake
def _(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
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
    call = _call(x, cell, nonlinearity, reset_after, hidden_size, directions)
    return calls.new_results(call, x, lengths, save)


@torch.library.custom_op("throughtime::layer_backward", mutates_args=())
def layer_backward(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    y: Tensor,
    saved: Tensor,
    d_y: Tensor | None,
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
    call = _call(x, cell, nonlinearity, reset_after, hidden_size, directions)
    plan = calls.plan_of(x, lengths, by_step)
    return calls.backward(call, plan, x, h_0, c_0, weights, y, saved, d_y, d_h_n, d_c_n, wanted)


@layer_backward.register_fake
def _(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    y: Tensor,
    saved: Tensor,
    d_y: Tensor | None,
    d_h_n: Tensor | None,
    d_c_n: Tensor | None,
    wanted: list[bool],
    cell: int,
    nonlinearity: int,
    reset_after: bool,
    hidden_size: int,
    directions: int,
) -> list[Tensor]:
    return calls.new_gradients(x, h_0, c_0, weights, wanted)


def _call(x: Tensor, cell: int, nonlinearity: int, reset_after: bool, hidden_size: int, directions: int) -> LayerCall:
    options = LayerOptions(
        cell=_CELLS[cell],
        input_size=int(x.shape[-1]),
        hidden_size=(hidden_size,),
        bidirectional=directions == 2,
        nonlinearity=NONLINEARITIES[nonlinearity],
        reset_after=reset_after,
    )
    return calls.layer_call(options, x.dtype)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, lengths, ctx.by_step, h_0, c_0, weights, *ctx.settings, _ = inputs
    y, _, _, saved = output
    ctx.mark_non_differentiable(saved)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(x, lengths, h_0, c_0, y, saved, *weights)


def _backward(ctx: Any, *upstream: Tensor | None) -> tuple[Any, ...]:
    x, lengths, h_0, c_0, y, saved, *weights = ctx.saved_tensors
    *upstream_of_results, _ = upstream
    needs: Sequence[Any] = ctx.needs_input_grad
    of_weights = list(needs[5]) if isinstance(needs[5], (list, tuple)) else [needs[5]] * len(weights)
    wanted = [needs[0], needs[3], needs[4], *of_weights]
    found = layer_backward(
        x, lengths, ctx.by_step, h_0, c_0, weights, y, saved, *upstream_of_results, wanted, *ctx.settings
    )
    d_x, d_h_0, d_c_0, *d_weights = (part if want else None for part, want in zip(found, wanted, strict=True))
    return (d_x, None, None, d_h_0, d_c_0, d_weights, *[None] * 6)


torch.library.register_autograd("throughtime::layer_forward", _backward, setup_context=_setup_context)
