"""The layers that are set side by side: throughtime's and torch's, with equal weights, doing equal work.

The reference is torch's layer on packed sequences. A contender's result is checked against it before it is timed:
output, and gradients of input and parameters.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from benchmarks.cases import LayerCase
from benchmarks.results import OURS
from throughtime.spec.tolerances import GRADIENT, OUTPUT, Tolerance

PACKED: Final = "torch packed"
PADDED: Final = "torch padded"

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""(steps, batch, input_size) → (steps, batch, outputs), zero past each length."""


class WrongResultError(Exception):
    """A contender does not compute what the reference computes; says what differs and by how much."""


class Problem:
    """The numbers of one case: weights, input, lengths, and the gradient that comes down on the output.

    The gradient is that of a mean over the batch, as in training.
    """

    def __init__(self, case: LayerCase) -> None:
        shape = case.shape
        self.case = case
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.tensor(shape.lengths)
        padding = torch.arange(shape.steps)[:, None] >= self.lengths
        self.padding = padding[:, :, None]
        x = torch.randn(shape.steps, shape.batch, shape.input_size, generator=generator)
        self.x = x.masked_fill(self.padding, 0.0)
        outputs = shape.hidden_size * (2 if shape.bidirectional else 1)
        self.d_output = torch.randn(shape.steps, shape.batch, outputs, generator=generator) / shape.batch
        torch.manual_seed(0)
        self.reference = _torch_layer(case)

    @property
    def real_share(self) -> float:
        """Real steps among all steps of the padded input."""
        return float(self.lengths.sum()) / (self.case.shape.batch * self.case.shape.steps)


class Contender:
    """One way to run a problem's layer."""

    def __init__(self, problem: Problem, layer: nn.Module, forward: Forward) -> None:
        layer.load_state_dict(problem.reference.state_dict())
        self._problem = problem
        self._layer = layer
        self._forward = forward

    def __call__(self) -> None:
        """The work that is timed: one forward pass, and for training one backward pass with fresh gradients."""
        self._run()

    def result(self) -> dict[str, Tensor]:
        """What the work gives: output, and for training the gradients by name."""
        output, x = self._run()
        if self._problem.case.work == "inference":
            return {"output": output}
        # A mean's gradient of one sequence's input is small by 1 / batch: undone, so that it is not lost below atol.
        d_input = None if x.grad is None else x.grad * self._problem.case.shape.batch
        gradients = {"input": d_input, **{name: p.grad for name, p in self._layer.named_parameters()}}
        return {"output": output.detach()} | {f"d_{name}": g for name, g in gradients.items() if g is not None}

    def _run(self) -> tuple[Tensor, Tensor]:
        problem = self._problem
        if problem.case.work == "inference":
            with torch.no_grad():
                return self._forward(problem.x), problem.x
        self._layer.zero_grad(set_to_none=True)
        x = problem.x.detach().requires_grad_()
        output = self._forward(x)
        torch.autograd.backward(output, problem.d_output)
        return output, x


def contenders(problem: Problem) -> dict[str, Contender]:
    """All ways that can do the case's work, throughtime's first.

    torch on padded input is none of them for ragged sequences in both directions: its reverse direction would start in
    the padding and be wrong.
    """
    shape = problem.case.shape
    ours, packed, padded = _our_layer(problem.case), _torch_layer(problem.case), _torch_layer(problem.case)

    def run_ours(x: Tensor) -> Tensor:
        output: Tensor = ours(x, lengths=problem.lengths)[0]
        return output

    def run_packed(x: Tensor) -> Tensor:
        sequences = pack_padded_sequence(x, problem.lengths)
        output: Tensor = pad_packed_sequence(packed(sequences)[0], total_length=shape.steps)[0]
        return output

    def run_padded(x: Tensor) -> Tensor:
        output: Tensor = padded(x)[0]
        return output.masked_fill(problem.padding, 0.0) if shape.ragged else output

    chosen = {OURS: Contender(problem, ours, run_ours), PACKED: Contender(problem, packed, run_packed)}
    if not (shape.ragged and shape.bidirectional):
        chosen[PADDED] = Contender(problem, padded, run_padded)
    return chosen


def check(contender: Contender, expected: dict[str, Tensor]) -> None:
    """Compares a contender's result with the reference's, by the one table of tolerances.

    Raises:
        WrongResultError: something is missing, or differs by more than the table allows.
    """
    got = contender.result()
    if got.keys() != expected.keys():
        raise WrongResultError(f"gives {sorted(got)} in place of {sorted(expected)}")
    for name, value in got.items():
        tolerance = (OUTPUT if name == "output" else GRADIENT)[str(value.dtype).removeprefix("torch.")]
        excess = _excess(value, expected[name], tolerance)
        if not excess <= 1.0:  # also where it is NaN
            raise WrongResultError(f"{name} differs from the reference by {excess:.3g} times what is allowed")


def _excess(value: Tensor, expected: Tensor, tolerance: Tolerance) -> float:
    """Largest difference, as a multiple of what the tolerance allows there."""
    allowed = tolerance.atol + tolerance.rtol * expected.abs()
    return float(((value - expected).abs() / allowed).max())


def _torch_layer(case: LayerCase) -> nn.Module:
    kind: type[nn.Module] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}[case.cell]
    return kind(case.shape.input_size, case.shape.hidden_size, bidirectional=case.shape.bidirectional)


def _our_layer(case: LayerCase) -> nn.Module:
    kind: type[nn.Module] = getattr(throughtime.nn, case.cell)
    return kind(case.shape.input_size, case.shape.hidden_size, bidirectional=case.shape.bidirectional)
