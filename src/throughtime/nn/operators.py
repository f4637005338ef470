"""The native core as operators that torch's compiler knows, with fake implementations and autograd.

For code that is compiled or exported; called one by one, layers take the shorter way in `native`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from throughtime.nn import calls
from throughtime.nn.calls import LayerCall
from throughtime.nn.masks import LayerMasks
from throughtime.spec.cells import Cell, LayerOptions, Nonlinearity
from throughtime.spec.errors import OptionError
from throughtime.spec.masks import Masks


def run(
    options: LayerOptions,
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    masks: LayerMasks | None,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output, h_n and c_n (empty but for an LSTM) of one layer."""
    flat = [] if masks is None else [mask for m in masks for mask in (m.zoneout_h, m.zoneout_c, m.recurrent)]
    y, h_n, c_n, _ = layer_forward(x, lengths, by_step, h_0, c_0, weights, flat, written(options), save)
    return y, h_n, c_n


def written(options: LayerOptions) -> str:
    """Options as an operator takes them: as text. Plain code, since the compiler follows it.

    Of recurrent dropout only whether it acts: its share is in the masks, and the compiler takes a number that differs
    between layers for a symbol, which cannot be written.
    """
    words = [options.cell, options.nonlinearity]
    numbers = [options.input_size, options.hidden_size[0], options.proj_size]
    flags = [
        options.bias,
        options.bidirectional,
        options.reset_after,
        options.layer_norm,
        options.peephole,
        options.coupled_gates,
        options.recurrent_dropout > 0,
    ]
    values = [*words, *numbers, *[int(flag) for flag in flags], *options.zoneout]
    return " ".join([f"{value}" for value in values])


@lru_cache(maxsize=256)
def _read(written: str) -> LayerOptions:
    cell, nonlinearity, *values = written.split()
    input_size, hidden_size, proj_size, *flags = (int(value) for value in values[:-2])
    bias, bidirectional, reset_after, layer_norm, peephole, coupled_gates, masked = (bool(flag) for flag in flags)
    zoneout_h, zoneout_c = (float(value) for value in values[-2:])
    return LayerOptions(
        cell=cast("Cell", cell),
        nonlinearity=cast("Nonlinearity", nonlinearity),
        input_size=input_size,
        hidden_size=(hidden_size,),
        proj_size=proj_size,
        bias=bias,
        bidirectional=bidirectional,
        reset_after=reset_after,
        layer_norm=layer_norm,
        peephole=peephole,
        coupled_gates=coupled_gates,
        zoneout=(zoneout_h, zoneout_c),
        recurrent_dropout=0.5 if masked else 0.0,
    )


def _masks(flat: Sequence[Tensor | None]) -> LayerMasks | None:
    by_direction = [flat[first : first + 3] for first in range(0, len(flat), 3)]
    masks = [Masks(zoneout_h=h, zoneout_c=c, recurrent=recurrent) for h, c, recurrent in by_direction]
    return masks or None


@torch.library.custom_op("throughtime::layer_forward", mutates_args=())
def layer_forward(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    masks: list[Tensor | None],
    options: str,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output, h_n, c_n (empty but for an LSTM), and what backward needs (empty without `save`)."""
    call = _call(x, options, masks)
    plan = calls.plan_of(x, lengths, by_step)
    return calls.forward(call, plan, x, lengths, h_0, c_0, weights, save, masks=_masks(masks), padded=True)


@layer_forward.register_fake
def _(
    x: Tensor,
    lengths: Tensor | None,
    by_step: bool,
    h_0: Tensor | None,
    c_0: Tensor | None,
    weights: list[Tensor],
    masks: list[Tensor | None],
    options: str,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    call = _call(x, options, masks)
    return calls.new_results(call, x, lengths, save, fake=True)


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
    masks: list[Tensor | None],
    options: str,
) -> list[Tensor]:
    """Gradients of x, h_0, c_0 and each weight; empty where not `wanted`."""
    call = _call(x, options, masks)
    if call.kernels.saved_width and not saved.numel():
        raise OptionError("this graph was made with gradients off, so it has no backward pass: export it with them on")
    plan = calls.plan_of(x, lengths, by_step)
    found = calls.backward(call, plan, x, h_0, c_0, weights, y, saved, d_y, d_h_n, d_c_n, wanted, masks=_masks(masks))
    return _filled(x, found)


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
    masks: list[Tensor | None],
    options: str,
) -> list[Tensor]:
    return _filled(x, calls.new_gradients(x, h_0, c_0, weights, wanted, fake=True))


def _filled(x: Tensor, found: Sequence[Tensor | None]) -> list[Tensor]:
    """An operator returns tensors only."""
    return [x.new_empty(0) if part is None else part for part in found]


def _call(x: Tensor, options: str, masks: Sequence[Tensor | None]) -> LayerCall:
    return calls.layer_call(_read(options), x.dtype, bool(masks))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, lengths, ctx.by_step, h_0, c_0, weights, ctx.masks, ctx.options, _ = inputs
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
        x, lengths, ctx.by_step, h_0, c_0, weights, y, saved, *upstream_of_results, wanted, ctx.masks, ctx.options
    )
    d_x, d_h_0, d_c_0, *d_weights = (part if want else None for part, want in zip(found, wanted, strict=True))
    # torch takes a list for one of gradients if all in it are tensors, and else for one value.
    d_masks = None if any(mask is None for mask in ctx.masks) else [None] * len(ctx.masks)
    return (d_x, None, None, d_h_0, d_c_0, d_weights, d_masks, None, None)


torch.library.register_autograd("throughtime::layer_forward", _backward, setup_context=_setup_context)
