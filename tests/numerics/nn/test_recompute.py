"""Recomputation through time gives what the ordinary way gives: values, gradients, random numbers; on every backend."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.flop_counter import FlopCounterMode

import throughtime.nn
from throughtime.nn import one_layer, recompute, stack
from throughtime.spec import tolerances

LENGTHS = [7, 2, 10, 1]
FEW_REAL = [64, *[1] * 31]
"""So few that torch's operations go through a packed sequence."""
CASES: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("GRU", {}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2, "peephole": True, "layer_norm": True, "zoneout": (0.2, 0.3)}),
    ("GRU", {"recurrent_dropout": 0.3, "weight_dropout": 0.3, "zoneout": 0.2}),
    ("MinLSTM", {"zoneout": 0.2}),
    ("IndRNN", {}),
]


def _both_ways(run: Callable[..., Any], layer: Any, x: Tensor, segment: int | bool, lengths: Any, hx: Any) -> list[Any]:
    results = []
    for again in (False, segment):
        layer.recompute = again
        torch.manual_seed(1)
        results.append(run(layer, x, hx, lengths=lengths))
    return results


def _state(layer: Any, batch: int) -> Any:
    def layers(sizes: Any) -> list[Tensor]:
        return [torch.randn(layer.options.num_directions, batch, n, dtype=layer.weight_ih_l0.dtype) for n in sizes]

    h_0 = layers([layer.options.output_features(i) for i in range(layer.num_layers)])
    return (h_0, layers(layer.options.hidden_size)) if layer.options.has_cell_state else h_0


@pytest.mark.parametrize(("cell", "options"), CASES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("segment", [True, 1, 3, 100])
def test_same_values_and_gradients(
    cell: str,
    options: dict[str, Any],
    bidirectional: bool,
    lengths: list[int] | None,
    segment: int | bool,
    backend: str,
    run: Callable[..., Any],
    close: Callable[..., None],
    skip_if_the_core_lacks: Callable[[Any], None],
) -> None:
    layer = getattr(throughtime.nn, cell)(
        3, [4, 5], dropout=0.3, bidirectional=bidirectional, dtype=torch.float64, backend=backend, **options
    )
    skip_if_the_core_lacks(layer)
    x = torch.randn(10, 4, 3, dtype=torch.float64)
    ordinary, again = _both_ways(run, layer, x, segment, lengths, _state(layer, 4))
    close(again, ordinary)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_same_bits_on_the_core(cell: str, lengths: Any, run: Callable[..., Any]) -> None:
    """The values, that is; gradients add up in another order where two stretches meet."""
    layer = getattr(throughtime.nn, cell)(3, 4, backend="native")
    ordinary, again = _both_ways(run, layer, torch.randn(10, 4, 3), 3, lengths, None)
    for name, value in ordinary.values.items():
        assert torch.equal(again.values[name], value), name


@pytest.mark.parametrize("way", ["end to end", "packed", "padded", "batch first", "unbatched"])
@pytest.mark.parametrize("lengths", [LENGTHS, [10] * 4, FEW_REAL], ids=["ragged", "equal", "few real steps"])
@pytest.mark.parametrize("masked", [False, True])
def test_every_form_of_input(way: str, lengths: list[int], masked: bool, backend: str) -> None:
    """With the same random numbers, too."""
    layer = throughtime.nn.LSTM(
        3,
        4,
        2,
        bidirectional=True,
        batch_first=way == "batch first",
        dropout=0.4,
        zoneout=0.2 if masked else 0.0,
        backend=backend,  # type: ignore[arg-type]
    )
    x = torch.randn(sum(lengths), 3) if way == "end to end" else torch.randn(max(lengths), len(lengths), 3)
    results = []
    for again in (False, 3):
        torch.manual_seed(5)
        layer.recompute = again
        leaf = x.clone().requires_grad_()
        if way == "end to end":
            output, state = layer.end_to_end(leaf, lengths)
        elif way == "packed":
            packed, state = layer(pack_padded_sequence(leaf, torch.tensor(lengths), enforce_sorted=False))
            output = packed.data
        elif way == "unbatched":
            output, state = layer(leaf[:, 0], lengths=7)
        elif way == "padded":
            output, state = layer(leaf, lengths=lengths)
        else:
            output, state = layer(leaf)
        total = output.square().sum() + sum(part.sin().sum() for part in state)
        results.append([output.detach(), *torch.autograd.grad(total, [leaf, *layer.parameters()])])
    row = tolerances.GRADIENT["float32"]
    torch.testing.assert_close(results[1], results[0], rtol=row.rtol, atol=row.atol)


def test_only_what_is_asked_for(backend: str) -> None:
    """A loss on the final state alone; frozen parameters; an input without gradients."""
    layer = throughtime.nn.LSTM(3, 4, bidirectional=True, backend=backend)  # type: ignore[arg-type]
    layer.weight_hh_l0.requires_grad_(False)
    x = torch.randn(10, 4, 3)
    gradients = []
    for again in (False, True):
        layer.recompute = again
        layer.zero_grad()
        _, (h_n, _) = layer(x, lengths=LENGTHS)
        h_n.square().sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
        assert [p.grad is not None for p in layer.parameters()] == [p.requires_grad for p in layer.parameters()]
    row = tolerances.GRADIENT["float32"]
    for ordinary, recomputed in zip(*gradients, strict=True):
        assert (ordinary is None) == (recomputed is None)
        if ordinary is not None:
            torch.testing.assert_close(recomputed, ordinary, rtol=row.rtol, atol=row.atol)


def test_hooks_of_parameters_see_one_gradient() -> None:
    layer = throughtime.nn.GRU(3, 4, recompute=2)
    seen: list[Any] = []
    [weight_ih, *_] = layer.parameters()
    weight_ih.register_hook(seen.append)  # type: ignore[no-untyped-call]
    layer(torch.randn(10, 2, 3))[0].sum().backward()
    assert len(seen) == 1
    assert torch.equal(seen[0], weight_ih.grad)  # type: ignore[arg-type]


@pytest.mark.parametrize("lengths", [None, [2, 3]])
def test_second_derivatives(lengths: Any, backend: str) -> None:
    layer = throughtime.nn.LSTM(2, 3, bidirectional=True, dtype=torch.float64, recompute=2, backend=backend)  # type: ignore[arg-type]
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    row = tolerances.CENTRAL

    def function(x: Tensor) -> Any:
        output, state = layer(x, lengths=lengths)
        return output, *state

    assert torch.autograd.gradcheck(function, (x,), rtol=row.rtol, atol=row.atol)
    assert torch.autograd.gradgradcheck(function, (x,), rtol=row.rtol, atol=row.atol)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_torch_func_and_inference_take_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = throughtime.nn.GRU(3, 4, recompute=True, dtype=torch.float64)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    gradient = torch.func.grad(lambda x: layer(x)[0].sum())(x)
    [expected] = torch.autograd.grad(layer(x.requires_grad_())[0].sum(), x)
    row = tolerances.GRADIENT["float64"]
    torch.testing.assert_close(gradient, expected, rtol=row.rtol, atol=row.atol)

    def refuse(*_: Any) -> None:
        raise AssertionError("recomputed where there is nothing to go back through")

    monkeypatch.setattr(recompute, "run_stack", refuse)
    with torch.no_grad():
        layer(x)
    layer.requires_grad_(False)
    layer(x.detach())


def test_where_torch_looks_at_every_operation() -> None:
    """Counters, fake tensors: there the core is an operator."""
    layer = throughtime.nn.LSTM(3, 4, recompute=3, backend="native")
    x = torch.randn(10, 2, 3, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(x)[0].sum(), x)
    with FlopCounterMode(display=False):
        layer(x)[0].sum().backward()
    torch.testing.assert_close(x.grad, expected)
    with FakeTensorMode():
        layer, x = throughtime.nn.LSTM(3, 4, recompute=3), torch.randn(10, 2, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(layer(x)[0].sum(), x)
    assert gradient.shape == (10, 2, 3)


def test_autocast_is_the_same_in_the_second_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = throughtime.nn.GRU(3, 4, recompute=5, backend="torch")
    seen: list[bool] = []

    def run(*arguments: Any) -> Any:
        seen.append(torch.is_autocast_enabled("cpu"))
        return one_layer.run_plainly(*arguments)

    monkeypatch.setattr(stack, "run_plainly", run)
    x = torch.randn(9, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(x)
    layer(x)[0].sum().backward()
    output.float().sum().backward()
    assert seen == [True] * 2 + [False] * 4 + [True] * 2  # of two stretches, each way
