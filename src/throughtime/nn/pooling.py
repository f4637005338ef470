"""Maximum and mean of each feature over the tokens of each text; texts lie end to end, without padding."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from throughtime import kernels
from throughtime.nn import calls, native
from throughtime.nn.arrays import array, whole
from throughtime.nn.lengths import Lengths, Unpadded, check_end_to_end
from throughtime.spec.errors import OptionError, ShapeError

# Of the places of the maxima: as wide as the values, as the core wants them.
_PLACES: Final = {torch.float32: torch.int32, torch.float64: torch.int64}


def pool(values: Tensor, lengths: Lengths, *, maximum: bool = False, mean: bool = False) -> list[Tensor]:
    """Pools over each text.

    Args:
        values: (tokens, features), floating point.
        lengths: (texts,) integers, each at least 1, that add up to the tokens.
        maximum, mean: what to compute, at least one. The gradient of a maximum goes to the first token that has it.
    Returns:
        Those asked for, in that order, each (texts, features).
    Raises:
        ShapeError: values and lengths do not fit each other.
        OptionError: nothing is asked for.
    """
    if values.dim() != 2:
        raise ShapeError(f"values must have 2 axes, (tokens, features), but has {values.dim()}: {tuple(values.shape)}")
    if not maximum and not mean:
        raise OptionError("maximum or mean must be asked for")
    checked = check_end_to_end(lengths, values.shape[0])
    if native.unfit_tensors(values, [values]) is not None:
        return _on_torch(values, checked, maximum, mean)
    highest, average, _ = _Pool.apply(values, checked, maximum, mean)  # type: ignore[no-untyped-call]
    return [part for part, wanted in ((highest, maximum), (average, mean)) if wanted]


def _on_torch(values: Tensor, lengths: Tensor, maximum: bool, mean: bool) -> list[Tensor]:
    texts = Unpadded(lengths, False, values.device)
    padded = texts.pad(values)
    results = []
    if maximum:
        padding = (torch.arange(len(padded), device="cpu").unsqueeze(1) >= lengths).unsqueeze(2).to(values.device)
        # Not amax, which shares a gradient among equal maxima.
        results.append(padded.masked_fill(padding, -torch.inf).max(dim=0).values)
    if mean:
        results.append(padded.sum(dim=0) / lengths.to(values.device, values.dtype).unsqueeze(1))
    return results


class _Pool(torch.autograd.Function):
    """Maximum, mean (each empty if not wanted), and the tokens that have the maxima."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, lengths: Tensor, maximum: bool, mean: bool) -> tuple[Tensor, Tensor, Tensor]:
        values = whole(values)
        texts, features = len(lengths), values.shape[1]
        highest = values.new_empty(texts if maximum else 0, features)
        at = values.new_empty(highest.shape, dtype=_PLACES[values.dtype])
        average = values.new_empty(texts if mean else 0, features)
        kernels.pooling(calls.DTYPES[values.dtype]).forward(
            array(values),
            lengths.tolist(),
            array(highest) if maximum else None,
            array(at) if maximum else None,
            array(average) if mean else None,
            kernels.threads(),
        )
        ctx.mark_non_differentiable(at)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(at, lengths)
        return highest, average, at

    @staticmethod
    def backward(ctx: Any, d_highest: Tensor | None, d_average: Tensor | None, _: None) -> tuple[Any, ...]:
        at, lengths = ctx.saved_tensors
        upstream = [part for part in (d_highest, d_average) if part is not None]
        if not upstream:
            return None, None, None, None
        if torch.is_grad_enabled():
            return _differentiable_backward(at, lengths, d_highest, d_average, upstream), None, None, None
        d_values = upstream[0].new_empty(int(lengths.sum()), upstream[0].shape[1])
        kernels.pooling(calls.DTYPES[d_values.dtype]).backward(
            lengths.tolist(),
            None if d_highest is None else array(whole(d_highest)),
            None if d_highest is None else array(at),
            None if d_average is None else array(whole(d_average)),
            array(d_values),
            kernels.threads(),
        )
        return d_values, None, None, None


def _differentiable_backward(
    at: Tensor, lengths: Tensor, d_highest: Tensor | None, d_average: Tensor | None, upstream: Sequence[Tensor]
) -> Tensor:
    d_values = upstream[0].new_zeros(int(lengths.sum()), upstream[0].shape[1])
    if d_highest is not None:
        d_values = d_values.scatter_add(0, at.long(), d_highest)
    if d_average is not None:
        d_values = d_values + (d_average / lengths.unsqueeze(1)).repeat_interleave(lengths, dim=0)
    return d_values
