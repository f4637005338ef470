"""Truncated BPTT: the reference's truncated gradients for every (k1, k2), the full ones where no window is cut."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime import equations
from throughtime.nn import truncated
from throughtime.spec import tolerances
from throughtime.spec.errors import OptionError, ShapeError

T, B = 9, 4
CASES: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2, "peephole": True, "layer_norm": True, "recurrent_dropout": 0.2, "weight_dropout": 0.2}),
    ("GRU", {"zoneout": 0.3}),
    ("MinGRU", {"zoneout": 0.2}),
]


@pytest.mark.parametrize(("cell", "options"), CASES)
@pytest.mark.parametrize(("k1", "k2"), [(1, 1), (2, 2), (3, 4), (2, 5), (1, 9), (9, 9), (20, 20)])
@pytest.mark.parametrize("lengths", [None, [7, 2, 9, 1], [5, 2, 1, 1]])
def test_the_reference_s_truncated_gradients(
    cell: str,
    options: dict[str, Any],
    k1: int,
    k2: int,
    lengths: list[int] | None,
    backend: str,
    draws: Callable[..., Any],
    skip_if_the_core_lacks: Callable[[Any], None],
) -> None:
    layer = getattr(throughtime.nn, cell)(3, [4, 5], dtype=torch.float64, backend=backend, **options)
    skip_if_the_core_lacks(layer)
    pair = layer.options.has_cell_state
    sizes = [[layer.options.output_features(i) for i in (0, 1)], [4, 5]][: 1 + pair]
    x = torch.randn(T, B, 3, dtype=torch.float64, requires_grad=True)
    start = [[torch.randn(1, B, n, dtype=torch.float64, requires_grad=True) for n in part] for part in sizes]
    u_output = torch.randn(T, B, layer.options.output_size, dtype=torch.float64)
    u_state = [[torch.randn_like(state) for state in part] for part in start]
    drawn = draws(layer, T, B)

    stops = []
    for window in truncated(layer, x, k1, k2, tuple(start) if pair else start[0], lengths):
        assert window.output.shape[0] == window.stop - window.start
        error = (window.output * u_output[window.start : window.stop]).sum()
        for part, weights in zip(window.state if pair else [window.state], u_state, strict=True):
            for state, weight in zip(part, weights, strict=True):
                error = error + (state * weight)[:, window.ended].sum()
        torch.autograd.backward(error)
        stops.append(window.stop)
    longest = max(lengths or [T])
    assert stops == [*range(k1, longest, k1), longest]

    arrays: Any = [[state.detach().numpy() for state in part] for part in start]
    trace = equations.forward(
        layer.options,
        {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()},
        x.detach().numpy(),
        lengths,
        (arrays[0], arrays[1]) if pair else arrays[0],
        drawn,
    )
    upstream = [[weight.numpy() for weight in part] for part in u_state]
    expected = equations.backward(trace, u_output.numpy(), *upstream, truncation=(k1, k2))
    found = [(x.grad, expected.d_input)]
    found += [(parameter.grad, expected.d_parameters[name]) for name, parameter in layer.named_parameters()]
    for part, d_part in zip(start, [expected.d_h_0, expected.d_c_0], strict=False):
        found += [(state.grad, d_state) for state, d_state in zip(part, d_part, strict=True)]
    for ours, reference in found:
        row = tolerances.GRADIENT["float64"].of_sums(abs(reference).max())
        ours = torch.zeros(reference.shape, dtype=torch.float64) if ours is None else ours
        torch.testing.assert_close(ours, torch.from_numpy(reference), rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize(("k1", "k2"), [(3, 9), (9, 9), (4, 12), (50, 50)])
def test_equals_one_call_where_no_window_is_cut(k1: int, k2: int, backend: str) -> None:
    """With every random number: masks and dropout are drawn as the call draws them."""
    layer = throughtime.nn.LSTM(3, 4, 3, dropout=0.4, weight_dropout=0.3, dtype=torch.float64, backend=backend)  # type: ignore[arg-type]
    x = torch.randn(T, B, 3, dtype=torch.float64)
    torch.manual_seed(2)
    output, (h_n, c_n) = layer(x)
    expected = torch.autograd.grad(output.square().sum(), list(layer.parameters()))
    layer.zero_grad()
    torch.manual_seed(2)
    outputs = []
    for window in truncated(layer, x, k1, k2):
        torch.autograd.backward(window.output.square().sum())
        outputs.append(window.output.detach())
    row = tolerances.OUTPUT["float64"]
    pairs = [(torch.cat(outputs), output), *zip(window.carried, (h_n, c_n), strict=True)]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs.detach(), rtol=row.rtol, atol=row.atol)
        assert not ours.requires_grad
    row = tolerances.GRADIENT["float64"]
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=row.rtol, atol=row.atol)


def test_endless_sequences_go_on_where_the_last_part_ended() -> None:
    layer = throughtime.nn.GRU(3, 4)
    x = torch.randn(12, B, 3)
    whole = torch.cat([window.output for window in truncated(layer, x, 3, 3)])
    state, parts = None, []
    for part in torch.split(x, 6):
        for window in truncated(layer, part, 3, 3, state):
            parts.append(window.output)
        state = window.carried
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=row.rtol, atol=row.atol)


def test_weights_may_change_between_windows() -> None:
    layer = throughtime.nn.LSTM(3, 4, weight_dropout=0.2)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    outputs = []
    for window in truncated(layer, torch.randn(T, B, 3), 2, 4):
        torch.autograd.backward(window.output.square().sum())
        optimiser.step()
        optimiser.zero_grad()
        outputs.append(window.output.detach())
    for parameter, value in zip(layer.parameters(), before, strict=True):
        assert not torch.equal(parameter, value)
    assert torch.isfinite(torch.cat(outputs)).all()


def test_what_computed_the_input_gets_its_gradient_once() -> None:
    layer = throughtime.nn.RNN(3, 4, dtype=torch.float64)
    embedding = torch.nn.Embedding(5, 3, dtype=torch.float64)
    ids = torch.randint(5, (T, B))
    seen: list[Tensor] = []
    for window in truncated(layer, embedding(ids), 3, 9):
        torch.autograd.backward(window.output.square().sum())
        seen.append(embedding.weight.grad)  # type: ignore[arg-type]
    assert all(gradient is None for gradient in seen)
    [expected] = torch.autograd.grad(layer(embedding(ids))[0].square().sum(), embedding.weight)
    row = tolerances.GRADIENT["float64"]
    torch.testing.assert_close(embedding.weight.grad, expected, rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize("form", ["batch first", "unbatched"])
def test_forms_of_input(form: str) -> None:
    layer = throughtime.nn.LSTM(3, 4, batch_first=form == "batch first")
    x = torch.randn(B, T, 3) if form == "batch first" else torch.randn(T, 3)
    time = int(form == "batch first")
    windows = list(truncated(layer, x, 4, 5))
    output, state = layer(x)
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(torch.cat([w.output for w in windows], time), output, rtol=row.rtol, atol=row.atol)
    torch.testing.assert_close(windows[-1].state, state, rtol=row.rtol, atol=row.atol)


def test_the_graph_reaches_k2_steps_back() -> None:
    """Memory is bounded by k2: what a window saves for backward does not grow with the sequence."""
    layer = throughtime.nn.GRU(3, 4, backend="torch")
    saved: dict[int, int] = {}
    for seq_len in (12, 48):
        sizes: list[int] = []
        x = torch.randn(seq_len, B, 3)

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            most = 0
            for window in truncated(layer, x, 3, 6):
                torch.autograd.backward(window.output.sum())
                most = max(most, sum(sizes))
                sizes.clear()
        saved[seq_len] = most
    assert saved[12] == saved[48] > 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: truncated(throughtime.nn.GRU(3, 4), x, 3, 2), OptionError, "1 <= k1 <= k2, but are 3 and 2"),
        (
            lambda x: truncated(throughtime.nn.GRU(3, 4), x, 0, 2),
            OptionError,
            "1 <= k1 <= k2, but are 0 and 2: choose k1 of at least 1",
        ),
        (lambda x: truncated(throughtime.nn.GRU(3, 4), x, True, 2), OptionError, "k1 must be an integer, but is True"),
        (
            lambda x: truncated(throughtime.nn.GRU(3, 4, bidirectional=True), x, 1, 2),
            OptionError,
            "layer must not be bidirectional",
        ),
        (
            lambda x: truncated(torch.nn.GRU(3, 4), x, 1, 2),  # type: ignore[arg-type]
            OptionError,
            "layer must be a layer of throughtime.nn, not of type torch.nn.modules.rnn.GRU",
        ),
        (
            lambda x: truncated(throughtime.nn.GRU(3, 4), torch.nn.utils.rnn.pack_sequence([x[:, 0]]), 1, 2),  # type: ignore[arg-type]
            ShapeError,
            "input must be a tensor, with lengths if need be, but is a PackedSequence",
        ),
        (
            lambda x: truncated(throughtime.nn.GRU(2, 4), x, 1, 2),
            ShapeError,
            "input_size = 2 features, .* has 3",
        ),
        (
            lambda x: truncated(throughtime.nn.GRU(3, 4), x, 1, 2, lengths=[9, 0, 1, 1]),
            ShapeError,
            r"lengths\[1\] is 0",
        ),
    ],
)
def test_refused_at_once(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make(torch.randn(T, B, 3))
