"""The layers that run in this process: throughtime's and torch's, with equal weights, doing equal work."""

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from benchmarks.cases import LayerCase
from benchmarks.problem import Problem, torch_layer
from benchmarks.results import OURS

PACKED: Final = "torch packed"
PADDED: Final = "torch padded"
LAYER: Final = "torch layer"
CELL: Final = "torch cell"

Forward: TypeAlias = Callable[[Tensor], Tensor]
"""(steps, batch, input_size) → (steps, batch, outputs), zero past each length."""


class Contender(Protocol):
    """One way to do a case's work."""

    def __call__(self) -> object:
        """The work that is timed."""

    def result(self) -> dict[str, Tensor]:
        """What the work gives: output, and for training the gradients by name."""


class Sequences:
    """Whole sequences through a layer: a forward pass, and for training a backward pass with fresh gradients."""

    def __init__(self, problem: Problem[Any], layer: nn.Module, forward: Forward) -> None:
        layer.load_state_dict(problem.reference.state_dict())
        self._problem = problem
        self._layer = layer
        self._forward = forward

    def __call__(self) -> None:
        self._run()

    def result(self) -> dict[str, Tensor]:
        output, x = self._run()
        if self._problem.case.work == "inference":
            return {"output": output}
        gradients = {"input": x.grad, **{name: p.grad for name, p in self._layer.named_parameters()}}
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


class Stream:
    """One step a call, the state going on, where gradients are off: a user turns them off once, not at each step.

    Args:
        start: gives a function (batch, input_size) → (batch, hidden_size) that begins from a state of zeros.
    """

    def __init__(self, problem: Problem[LayerCase], start: Callable[[], Forward]) -> None:
        self._x = list(problem.x)
        self._start = start
        self._step = start()

    def __call__(self) -> None:
        self._step(self._x[0])

    def result(self) -> dict[str, Tensor]:
        step = self._start()
        with torch.no_grad():
            return {"output": torch.stack([step(x) for x in self._x])}


def contenders(problem: Problem[LayerCase]) -> dict[str, Contender]:
    """All ways that can do the case's work, throughtime's first, then the reference."""
    return dict(_streams(problem) if problem.case.work == "streaming" else _sequences(problem))


def _sequences(problem: Problem[LayerCase]) -> Iterator[tuple[str, Contender]]:
    """torch on padded input is left out for ragged sequences in both directions: its reverse direction would start in
    the padding and be wrong.
    """
    shape = problem.case.shape
    ours, packed, padded = our_layer(problem), torch_layer(problem.case), torch_layer(problem.case)
    lengths = problem.lengths if shape.ragged else None

    def run_ours(x: Tensor) -> Tensor:
        output: Tensor = ours(x, lengths=lengths)[0]
        return output

    def run_packed(x: Tensor) -> Tensor:
        sequences = pack_padded_sequence(x, problem.lengths)
        output: Tensor = pad_packed_sequence(packed(sequences)[0], total_length=shape.steps)[0]
        return output

    def run_padded(x: Tensor) -> Tensor:
        output: Tensor = padded(x)[0]
        return output.masked_fill(problem.padding, 0.0) if shape.ragged else output

    yield OURS, Sequences(problem, ours, run_ours)
    yield PACKED, Sequences(problem, packed, run_packed)
    if not (shape.ragged and shape.bidirectional):
        yield PADDED, Sequences(problem, padded, run_padded)


def _streams(problem: Problem[LayerCase]) -> Iterator[tuple[str, Contender]]:
    shape = problem.case.shape
    layer = torch_layer(problem.case)
    layer.load_state_dict(problem.reference.state_dict())
    ours = our_layer(problem)
    ours.load_state_dict(problem.reference.state_dict())
    cells: dict[str, type[nn.Module]] = {"RNN": nn.RNNCell, "GRU": nn.GRUCell, "LSTM": nn.LSTMCell}
    cell = cells[problem.case.cell](shape.input_size, shape.hidden_size)
    cell.load_state_dict({name.removesuffix("_l0"): w for name, w in problem.reference.state_dict().items()})

    def start_layer() -> Forward:
        state = None

        def step(x: Tensor) -> Tensor:
            nonlocal state
            output: Tensor
            output, state = layer(x.unsqueeze(0), state)
            return output[0]

        return step

    def start_cell() -> Forward:
        state = None

        def step(x: Tensor) -> Tensor:
            nonlocal state
            state = cell(x, state)
            output: Tensor = state[0] if isinstance(state, tuple) else state
            return output

        return step

    yield OURS, Stream(problem, lambda: ours.stream(shape.batch).step)
    yield LAYER, Stream(problem, start_layer)
    yield CELL, Stream(problem, start_cell)


def our_layer(problem: Problem[LayerCase]) -> throughtime.nn.RNN | throughtime.nn.GRU | throughtime.nn.LSTM:
    """throughtime's layer of the case, with weights of its own."""
    shape = problem.case.shape
    kind: type[throughtime.nn.RNN | throughtime.nn.GRU | throughtime.nn.LSTM] = getattr(
        throughtime.nn, problem.case.cell
    )
    return kind(shape.input_size, shape.hidden_size, bidirectional=shape.bidirectional)
