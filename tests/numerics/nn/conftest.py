"""Helpers of the numerics tests of the layers: random problems, everything a run gives, comparison by the one table."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from throughtime.nn import native
from throughtime.nn.acting import acting
from throughtime.spec import tolerances


@dataclass(frozen=True)
class Results:
    """What a run gives, flat: output and states; gradients of the input, the initial state, the parameters.

    upstream: the gradient of the scalar that was differentiated with respect to each value.
    """

    values: dict[str, Tensor]
    upstream: dict[str, Tensor]
    gradients: dict[str, Tensor]


Run = Callable[..., Results]
Close = Callable[[Results, Results], None]


def _tensors(name: str, nested: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(nested, Tensor):
        yield name, nested
    elif nested is not None:
        for index, part in enumerate(nested):
            yield from _tensors(f"{name}[{index}]", part)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["native", "torch"])
def backend(request: pytest.FixtureRequest) -> str:
    """Both ways of computing; asked for by name, so that a core that is missing is a failure and no silence."""
    return str(request.param)


@pytest.fixture
def skip_if_the_core_lacks() -> Callable[[Any], None]:
    """Skips the native run of a layer whose options the core does not have; a core that is missing stays a failure."""

    def _skip(layer: Any) -> None:
        lacking = native._lacks(acting(layer.options, layer.training))
        if layer.backend == "native" and lacking:
            pytest.skip(f"the native core: {lacking}")

    return _skip


@pytest.fixture
def run() -> Run:
    """Runs `layer(input, hx, **more)`, then backward from a fixed random weighting of every value it returns.

    The weighting follows from the names and shapes of the values alone: two runs of one problem have the same.
    """

    def _run(layer: torch.nn.Module, input: Tensor, hx: Any = None, **more: Any) -> Results:  # noqa: A002
        layer.zero_grad()
        leaves = {name: tensor.detach().requires_grad_() for name, tensor in [("input", input), *_tensors("hx", hx)]}
        state: Any = None
        if isinstance(hx, Tensor):
            state = leaves["hx"]
        elif hx is not None:
            state = [
                leaves[f"hx[{i}]"] if isinstance(part, Tensor) else [leaves[f"hx[{i}][{j}]"] for j in range(len(part))]
                for i, part in enumerate(hx)
            ]
            # LSTM of torch takes a tuple; a list of layers stays a list.
            state = tuple(state) if isinstance(hx, tuple) else state
        output, after = layer(leaves["input"], state, **more)
        values = dict([("output", output), *_tensors("state", after)])
        generator = torch.Generator().manual_seed(3)
        upstream = {
            name: torch.randn(values[name].shape, generator=generator, dtype=torch.float64).to(values[name].dtype)
            for name in sorted(values)
        }
        total = torch.stack([(values[name] * upstream[name]).sum() for name in upstream]).sum()
        torch.autograd.backward(total)
        gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        gradients |= {name: p.grad.clone() for name, p in layer.named_parameters() if p.grad is not None}
        assert len(gradients) == len(leaves) + len(list(layer.parameters()))
        return Results({name: value.detach() for name, value in values.items()}, upstream, gradients)

    return _run


@pytest.fixture
def close() -> Close:
    """Asserts that two runs gave the same names, shapes and, within the table's tolerances, numbers."""

    def _close(got: Results, expected: Results) -> None:
        for table, ours, theirs in (
            (tolerances.OUTPUT, got.values, expected.values),
            (tolerances.GRADIENT, got.gradients, expected.gradients),
        ):
            assert ours.keys() == theirs.keys()
            for name in ours:
                row = table[str(ours[name].dtype).removeprefix("torch.")]
                message = f"{name} differs by more than the table of tolerances allows"
                torch.testing.assert_close(ours[name], theirs[name], rtol=row.rtol, atol=row.atol, msg=message)

    return _close
