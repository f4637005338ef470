"""PyTorch's own tests of its recurrent modules, run on ours: forward against torch's, gradcheck and gradgradcheck."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what importing torch's test helpers warns of is theirs
    from torch.testing._internal import common_modules


def _entries() -> Iterator[Any]:
    for info in common_modules.module_db:
        if info.module_cls in (torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM):
            name = info.module_cls.__name__
            for training in (True, False):
                inputs = info.module_inputs_func(
                    info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
                )
                for number, given in enumerate(inputs):
                    identity = f"{name}-{'training' if training else 'evaluation'}-{number}"
                    yield pytest.param(name, training, given, id=identity)


ENTRIES = list(_entries())


def _pair(name: str, training: bool, given: Any, backend: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    args, kwargs = given.constructor_input.args, {**given.constructor_input.kwargs, "dtype": torch.float64}
    theirs = getattr(torch.nn, name)(*args, **kwargs).train(training)
    ours = getattr(throughtime.nn, name)(*args, **kwargs, backend=backend).train(training)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def _tensors(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    return [leaf for part in nested for leaf in _tensors(part)] if isinstance(nested, (list, tuple)) else []


@pytest.mark.parametrize(("name", "training", "given"), ENTRIES)
def test_forward(name: str, training: bool, given: Any, backend: str, skip_if_the_core_lacks: Any) -> None:
    ours, theirs = _pair(name, training, given, backend)
    skip_if_the_core_lacks(ours)
    got = _tensors(ours(*given.forward_input.args, **given.forward_input.kwargs))
    expected = _tensors(theirs(*given.forward_input.args, **given.forward_input.kwargs))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize(("name", "training", "given"), ENTRIES)
@pytest.mark.parametrize("order", [1, 2])
def test_derivatives(name: str, training: bool, given: Any, order: int) -> None:
    layer, _ = _pair(name, training, given, "auto")
    names = [key for key, _ in layer.named_parameters()]
    arguments = _tensors([*given.forward_input.args, *given.forward_input.kwargs.values()])

    def function(*values: Tensor) -> Any:
        tensors = iter(values)

        def fill(nested: Any) -> Any:
            if isinstance(nested, Tensor):
                return next(tensors)
            return type(nested)(fill(part) for part in nested) if isinstance(nested, (list, tuple)) else nested

        args = tuple(fill(argument) for argument in given.forward_input.args)
        kwargs = {key: fill(argument) for key, argument in given.forward_input.kwargs.items()}
        parameters = dict(zip(names, tensors, strict=True))
        return tuple(_tensors(torch.func.functional_call(layer, parameters, args, kwargs)))

    inputs = tuple(t.detach().requires_grad_() for t in arguments) + tuple(layer.parameters())
    check = torch.autograd.gradcheck if order == 1 else torch.autograd.gradgradcheck
    assert check(function, inputs, fast_mode=True)  # as PyTorch runs them; test_derivatives takes whole Jacobians
