"""The numbers of a layer case, alike for every contender, and the comparison of what contenders make of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from benchmarks.cases import LayerCase, VariantCase
from throughtime import equations
from throughtime.nn.base import Recurrent
from throughtime.spec.tolerances import GRADIENT, OTHER_LIBRARY, OUTPUT, OUTPUT_NORMALISED, Tolerance

AnyCase = TypeVar("AnyCase", LayerCase, VariantCase)

STREAM_CHECK: Final = 8
"""Steps of a stream that are compared before one step is timed."""

_NORM_HH: Final = 0.1
_NOISE: Final = 0.05


class WrongResultError(Exception):
    """A contender does not compute what the reference computes; says what differs and by how much."""


class Problem(Generic[AnyCase]):
    """Weights, input, lengths, and the gradient that comes down on the output, which is that of a mean over the batch.

    Shapes: x (steps, batch, input_size), zero past each length; d_output (steps, batch, outputs). A streaming case has
    STREAM_CHECK steps here. reference: the layer whose weights all take: torch's, or of a variant throughtime's.
    """

    def __init__(self, case: AnyCase) -> None:
        shape = case.shape
        self.case: AnyCase = case
        steps = STREAM_CHECK if case.work == "streaming" else shape.steps
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.tensor([steps] if case.work == "streaming" else shape.lengths)
        self.padding = (torch.arange(steps)[:, None] >= self.lengths)[:, :, None]
        x = torch.randn(steps, shape.batch, shape.input_size, generator=generator)
        self.x = x.masked_fill(self.padding, 0.0)
        self.d_output = torch.randn(steps, shape.batch, case.output_size, generator=generator) / shape.batch
        torch.manual_seed(0)
        self.reference: nn.Module = variant_layer(case) if isinstance(case, VariantCase) else torch_layer(case)

    @property
    def real_share(self) -> float:
        """Real steps among all steps of the padded input."""
        return float(self.lengths.sum()) / self.padding.numel()

    def save(self, path: Path) -> None:
        """All arrays as an .npz file, weights under torch's names: what a worker reads."""
        arrays = {"x": self.x, "lengths": self.lengths, "d_output": self.d_output, **self.reference.state_dict()}
        np.savez(path, allow_pickle=False, **{name: tensor.numpy() for name, tensor in arrays.items()})

    def facts(self) -> dict[str, Any]:
        """The case in plain values, for a worker."""
        shape = self.case.shape
        return {
            "cell": self.case.cell,
            "work": self.case.work,
            "input_size": shape.input_size,
            "hidden_size": shape.hidden_size,
            "ragged": shape.ragged,
            "bidirectional": shape.bidirectional,
            "arguments": self.case.arguments if isinstance(self.case, VariantCase) else {},
        }


def torch_layer(case: LayerCase) -> nn.Module:
    """torch's layer of the case."""
    kind: type[nn.Module] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}[case.cell]
    return kind(case.shape.input_size, case.shape.hidden_size, bidirectional=case.shape.bidirectional)


def variant_layer(case: VariantCase) -> Recurrent:
    """throughtime's layer of the case, its parameters away from where a term that is left out would not be seen.

    The recurrent gains of layer normalisation begin at a tenth (as Cooijmans et al. 2017 have them): with gains of 1
    each step amplifies what the one before rounded, and after hundreds of steps float32 has no digit in common with
    float64.
    """
    kind: Callable[..., Recurrent] = getattr(throughtime.nn, case.cell)
    layer = kind(case.shape.input_size, case.shape.hidden_size, **case.arguments)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("norm_hh"):
                parameter.fill_(_NORM_HH)
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=_NOISE)
    return layer


def equations_result(problem: Problem[VariantCase]) -> dict[str, Tensor]:
    """Output and all gradients by throughtime's equations in float64, without the random parts: no dropout, and zoneout
    mixes old and new by its shares.
    """
    weights = {name: value.numpy() for name, value in problem.reference.state_dict().items()}
    trace = equations.forward(problem.case.options, weights, problem.x.numpy())
    gradients = equations.backward(trace, problem.d_output.numpy())
    arrays = {"output": trace.output, "d_input": gradients.d_input}
    arrays |= {f"d_{name}": value for name, value in gradients.d_parameters.items()}
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


def reference_result(problem: Problem[LayerCase]) -> dict[str, Tensor]:
    """Output, and for training all gradients, of torch's packed layer in float64.

    Not in float32: the first call of torch's packed LSTM in a process was now and then 1e-5 off (torch 2.13).
    """
    layer = torch_layer(problem.case).double()
    layer.load_state_dict({name: value.double() for name, value in problem.reference.state_dict().items()})
    x = problem.x.double().requires_grad_()
    packed, _ = layer(pack_padded_sequence(x, problem.lengths, enforce_sorted=False))
    output, _ = pad_packed_sequence(packed, total_length=x.shape[0])
    if problem.case.work != "training":
        return {"output": output.detach()}
    torch.autograd.backward(output, problem.d_output.double())
    gradients = {"input": x.grad, **{name: p.grad for name, p in layer.named_parameters()}}
    return {"output": output.detach()} | {f"d_{name}": g for name, g in gradients.items() if g is not None}


def check(
    got: dict[str, Tensor], expected: dict[str, Tensor], *, ours: bool, normalised: bool = False, sums: bool = False
) -> float:
    """Compares a contender's result with the reference's, by the one table of tolerances.

    A gradient of the input is of one sequence's share of the mean: it is compared times the batch, so that it is not
    lost below an absolute tolerance.

    Args:
        got, expected: "output", and for training "d_input" and "d_" and the name of each parameter.
        ours: with the tolerances of throughtime's and torch's layers; other libraries have approximations of their own.
        normalised: the cell has layer normalisation in it, see `OUTPUT_NORMALISED`.
        sums: gradients are long sums, see `Tolerance.of_sums`.
    Returns:
        The largest difference of any number.
    Raises:
        WrongResultError: something is missing, or differs by more than the table allows.
    """
    if got.keys() != expected.keys():
        raise WrongResultError(f"gives {sorted(got)} in place of {sorted(expected)}")
    largest = 0.0
    for name, value in got.items():
        if value.shape != expected[name].shape:
            raise WrongResultError(f"{name} has shape {tuple(value.shape)} in place of {tuple(expected[name].shape)}")
        dtype = str(value.dtype).removeprefix("torch.")
        values = OUTPUT_NORMALISED if normalised else OUTPUT
        tolerance = (values if name == "output" else GRADIENT)[dtype] if ours else OTHER_LIBRARY
        factor = expected["output"].shape[1] if name == "d_input" else 1
        if sums and name != "output":
            tolerance = tolerance.of_sums(float(expected[name].abs().max()) * factor)
        excess = _excess(value * factor, expected[name] * factor, tolerance)
        if not excess <= 1.0:  # also where it is NaN
            raise WrongResultError(f"{name} differs from the reference by {excess:.3g} times what is allowed")
        largest = max(largest, float((value - expected[name]).abs().max()))
    return largest


def _excess(value: Tensor, expected: Tensor, tolerance: Tolerance) -> float:
    """Largest difference, as a multiple of what the tolerance allows there."""
    allowed = tolerance.atol + tolerance.rtol * expected.abs()
    return float(((value - expected).abs() / allowed).max())
