"""The instrument against torch's autograd: explicit products of Jacobians, and gradients kept in an explicit loop."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import throughtime.nn
from throughtime import equations, flow
from throughtime.flow import chain as chain_module
from throughtime.flow.chain import Chain
from throughtime.flow.spectrum import lyapunov_exponents, spectral_radii
from throughtime.flow.trace import run
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import zero_state
from throughtime.spec import tolerances

ROW = tolerances.GRADIENT["float64"]
PLAIN: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {}),
    ("LSTM", {"bias": False}),
]
_NORM: dict[str, Any] = {"layer_norm": True, "recurrent_dropout": 0.3, "weight_dropout": 0.3}
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"zoneout": 0.2} | _NORM),
    ("GRU", {"zoneout": 0.2} | _NORM),
    ("LSTM", {"zoneout": (0.2, 0.3), "peephole": True} | _NORM),
    ("LSTM", {"peephole": True, "coupled_gates": True, "proj_size": 3}),
    ("MinGRU", {}),
    ("MinLSTM", {"zoneout": 0.2}),
    ("IndRNN", {"nonlinearity": "tanh"}),
]
CELLS = PLAIN + VARIANTS


def close(got: Any, expected: Any, row: tolerances.Tolerance = ROW) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=row.rtol, atol=row.atol)


def layer_of(cell: str, hidden_size: Any = 4, **options: Any) -> Any:
    layer = getattr(throughtime.nn, cell)(3, hidden_size, dtype=torch.float64, **options)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2.0)  # far from linear
    return layer


def one_direction(layer: Any, options: dict[str, Any], level: int, reverse: bool) -> Any:
    """A layer of its own, in evaluation mode, with the parameters of one direction of another's layer."""
    end = f"_l{level}" + ("_reverse" if reverse else "")
    sizes = (layer.options.layer_input_size(level), layer.options.hidden_size[level])
    single = type(layer)(*sizes, backend="torch", dtype=torch.float64, **options).eval()
    state = layer.state_dict()
    single.load_state_dict({name: state[name.removesuffix("_l0") + end] for name in single.state_dict()})
    return single


def jacobian_over(single: Any, x: Tensor, start: tuple[Tensor, ...]) -> Tensor:
    """∂(state after x) / ∂start, both joined, by autograd through the layer itself; x (steps, 1, features)."""

    def after(joined: Tensor) -> Tensor:
        parts = tuple(part.view(1, 1, -1) for part in torch.split(joined, [part.shape[-1] for part in start]))
        if not len(x):
            return joined
        _, end = single(x, parts if len(parts) == 2 else parts[0])
        return torch.cat([part.flatten() for part in (end if isinstance(end, tuple) else (end,))])

    joined = torch.cat([part.detach().flatten() for part in start])
    found: Tensor = torch.autograd.functional.jacobian(after, joined)  # type: ignore[no-untyped-call]
    return found


@pytest.fixture(params=["kept", "afresh"])
def jacobians(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a chain keeps its Jacobians, or goes through the step for each product."""
    if request.param == "afresh":
        monkeypatch.setattr(chain_module, "KEPT_BYTES", 0)


@pytest.mark.usefixtures("jacobians")
@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("exact", [True, False])
def test_lag_norms_against_explicit_jacobians(cell: str, options: dict[str, Any], exact: bool) -> None:
    """Two layers, both directions, ragged: each sequence's every lag, from the layers' own forward."""
    layer = layer_of(cell, [4, 5], bidirectional=True, **options)
    lengths = [9, 4, 7]
    x = torch.randn(9, 3, 3, dtype=torch.float64)
    measured = flow.measure(layer, x, lengths=lengths, lags=range(10), exact=exact)
    ones = [one_direction(layer, options, level, reverse) for level in range(2) for reverse in (False, True)]
    largest: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for row, length in enumerate(lengths):
        below = x[:length, row : row + 1]
        for level in range(2):
            outputs = []
            for reverse in (False, True):
                number = 2 * level + reverse
                single = ones[number]
                own = below.flip(0) if reverse else below
                size = single.options.output_features(0)
                states = [zero_state(single.options, 1, x)[0]]
                for t in range(length):
                    _, end = single(own[t : t + 1], states[-1] if cell == "LSTM" else states[-1][0])
                    states.append(end if cell == "LSTM" else (end,))
                for k in range(length + 1):
                    J = jacobian_over(single, own[length - k :], states[length - k])
                    h = J[:size, :size]
                    numbers = tuple(
                        float(value)
                        for value in (
                            torch.linalg.matrix_norm(J, ord=2),
                            torch.linalg.matrix_norm(J) / len(J) ** 0.5,
                            torch.linalg.matrix_norm(h, ord=2),
                            torch.linalg.matrix_norm(h) / size**0.5,
                        )
                    )
                    largest.setdefault((number, k), []).append(numbers)
                h_all = torch.cat([state[0].detach() for state in states[1:]])
                outputs.append(h_all.flip(0) if reverse else h_all)
            below = torch.cat(outputs, dim=2)
    for number, direction in enumerate(measured.directions):
        assert (direction.layer, direction.reverse) == (number // 2, number % 2 == 1)
        assert direction.norm.count.tolist() == [sum(n >= k for n in lengths) for k in range(10)]
        for k in range(10):
            expected = np.array(largest[number, k]).mean(axis=0)
            got = [s.mean[k] for s in (direction.norm, direction.mean, direction.norm_h, direction.mean_h)]
            rows = [ROW] * 4 if exact else [tolerances.ITERATED, tolerances.PROBES] * 2
            for value, true, tolerance in zip(got, expected, rows, strict=True):
                close(value, true, tolerance)


def explicit_loop(layer: Any, x: Tensor) -> tuple[list[list[tuple[Tensor, ...]]], Tensor]:
    """One sequence (steps, features) through torch's own cells, every state kept with its gradient.

    Returns: states in own time, an entry a direction of a layer; output (steps, features).
    """
    kind = {"RNN": torch.nn.RNNCell, "GRU": torch.nn.GRUCell, "LSTM": torch.nn.LSTMCell}[layer.options.cell]
    values = layer.state_dict()
    traces, below = [], x
    for level, size in enumerate(layer.options.hidden_size):
        outputs = []
        for reverse in (False, True):
            end = f"_l{level}" + ("_reverse" if reverse else "")
            more = {"nonlinearity": layer.nonlinearity} if kind is torch.nn.RNNCell else {}
            cell = kind(below.shape[1], size, bias=layer.bias, dtype=torch.float64, **more)
            cell.load_state_dict({name: values[name + end] for name in cell.state_dict()})
            state: Any = torch.zeros(1, size, dtype=torch.float64)
            state = (state, state) if kind is torch.nn.LSTMCell else state
            own, states = below.flip(0) if reverse else below, []
            for t in range(len(own)):
                state = cell(own[t : t + 1], state)
                states.append(state if isinstance(state, tuple) else (state,))
                for part in states[-1]:
                    part.retain_grad()
            traces.append(states)
            h = torch.cat([parts[0] for parts in states])
            outputs.append(h.flip(0) if reverse else h)
        below = torch.cat(outputs, dim=1)
    return traces, below


@pytest.mark.parametrize(("cell", "options"), [case for case in PLAIN if "reset_after" not in case[1]])
@pytest.mark.parametrize("batch_first", [False, True])
def test_loss_gradients_against_retained_ones(cell: str, options: dict[str, Any], batch_first: bool) -> None:
    layer = layer_of(cell, [4, 5], bidirectional=True, batch_first=batch_first, **options)
    lengths = [6, 2, 9, 9]
    x = torch.randn(9, 4, 3, dtype=torch.float64)
    weight = torch.randn(9, 4, 10, dtype=torch.float64)

    def loss(output: Tensor, state: Any) -> Tensor:
        return (output.transpose(0, 1) if batch_first else output).mul(weight).tanh().sum() / 4

    measured = flow.measure(layer, x.transpose(0, 1) if batch_first else x, lengths=lengths, loss=loss)
    norms: dict[tuple[int, int, int], list[float]] = {}
    total = 0.0
    for row, length in enumerate(lengths):
        traces, output = explicit_loop(layer, x[:length, row])
        own = output.mul(weight[:length, row]).tanh().sum() / 4
        own.backward()  # type: ignore[no-untyped-call]
        total += float(own.detach())
        for number, states in enumerate(traces):
            for distance, state in enumerate(reversed(states)):
                for part, tensor in enumerate(state):
                    assert tensor.grad is not None
                    norms.setdefault((number, part, distance), []).append(float(tensor.grad.norm()))
    close(measured.loss_value, total)
    assert (measured.sequences, measured.seq_len) == (4, 9)
    for number, direction in enumerate(measured.directions):
        assert (direction.loss_to_c is not None) == (cell == "LSTM")
        for part, spread in enumerate((direction.loss_to_h, direction.loss_to_c)):
            if spread is None:
                continue
            assert spread.count.tolist() == [sum(n > distance for n in lengths) for distance in range(9)]
            for distance in range(9):
                values = sorted(norms[number, part, distance])
                close(spread.mean[distance], np.mean(values))
                close(spread.low[distance], values[0])
                close(spread.high[distance], values[-1])


@pytest.mark.parametrize("count", [1, 4])
def test_the_default_loss_and_a_gradient_of_the_output(count: int) -> None:
    """The default goes through h_n alone; ∂L/∂output as a tensor gives what the same loss as a function gives."""
    layer = layer_of("GRU")
    x, upstream = torch.randn(5, count, 3, dtype=torch.float64), torch.randn(5, count, 4, dtype=torch.float64)
    (default,) = flow.measure(layer, x).directions
    close(default.loss_to_h.high[0], 1.0)
    (by_tensor,) = flow.measure(layer, x, loss=upstream).directions
    (by_function,) = flow.measure(layer, x, loss=lambda output, h_n: (output * upstream).sum()).directions
    close(by_tensor.loss_to_h.mean, by_function.loss_to_h.mean)
    (of_state,) = flow.measure(layer, x, loss=lambda output, h_n: h_n.sum()).directions
    close(of_state.loss_to_h.mean[0], 2.0)


@pytest.mark.usefixtures("jacobians")
@pytest.mark.parametrize(
    ("cell", "options"), [case for case in CELLS if "relu" not in case[1].values() and "proj_size" not in case[1]]
)
def test_exponents_add_up_to_the_logarithm_of_the_determinants(cell: str, options: dict[str, Any]) -> None:
    """Whatever directions are carried: all exponents of a sequence together are the mean of log|det J|.

    A relu and a projection leave a determinant of 0.
    """
    layer = layer_of(cell, **options)
    lengths = torch.tensor([30, 12, 25])
    x = torch.randn(30, 3, 3, dtype=torch.float64)
    traced = run(layer.options, layer.all_weights, x, zero_state(layer.options, 3, x), Ragged(lengths, 30, x.device))
    chain = Chain.of(traced.directions[0], 3)
    assert chain.lengths == (30, 25, 12)
    exponents = lyapunov_exponents(chain, chain.size, generator=torch.Generator().manual_seed(0))
    for row, length in enumerate(chain.lengths):
        full = [chain.full(j)[row] for j in range(length - int(0.1 * length))]
        close(exponents[:, row].sum(), np.mean([float(torch.linalg.slogdet(J)[1]) for J in full]))


@pytest.mark.usefixtures("jacobians")
@pytest.mark.parametrize(("cell", "options"), CELLS)
def test_products_with_vectors_are_those_of_the_full_jacobian(cell: str, options: dict[str, Any]) -> None:
    layer = layer_of(cell, 70, **options)
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    traced = run(layer.options, layer.all_weights, x, zero_state(layer.options, 2, x), None)
    chain = Chain.of(traced.directions[0], 2)
    block = torch.randn(2, 5, chain.size, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for j in range(3):
        full = chain.full(j)
        close(chain.pull(block, j), block @ full)
        close(chain.push(block, j), block @ full.mT)
    steps, by_arnoldi = spectral_radii(chain, 3, exact=False, generator=generator)
    assert steps == [0, 1, 2]
    _, radii = spectral_radii(chain, 3, exact=True, generator=generator)
    close(by_arnoldi, radii, tolerances.ARNOLDI)


@pytest.mark.usefixtures("jacobians")
@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
def test_iteration_against_products_where_it_has_to_iterate(cell: str) -> None:
    """States far larger than a block of vectors; ragged."""
    layer = layer_of(cell, 60)
    x = torch.randn(24, 3, 3, dtype=torch.float64)
    iterated, exact = (
        flow.measure(layer, x, lengths=[24, 10, 17], exact=exact, lags=range(0, 24, 4)).directions[0]
        for exact in (False, True)
    )
    for name, row in (("norm", tolerances.ITERATED), ("norm_h", tolerances.ITERATED), ("mean", tolerances.PROBES)):
        for statistic in ("low", "median", "high"):
            close(getattr(getattr(iterated, name), statistic), getattr(getattr(exact, name), statistic), row)
    assert (iterated.norm.high <= exact.norm.high * (1 + ROW.rtol)).all()


@pytest.mark.parametrize(("cell", "options"), PLAIN)
def test_gates_against_the_equations(cell: str, options: dict[str, Any]) -> None:
    layer = layer_of(cell, 5, bidirectional=True, **options)
    lengths = [7, 3, 5]
    x = 3.0 * torch.randn(7, 3, 3, dtype=torch.float64)
    parameters = {name: parameter.detach().numpy() for name, parameter in layer.named_parameters()}
    trace = equations.forward(layer.options, parameters, x.numpy(), lengths)
    for direction, of_equations in zip(
        flow.measure(layer, x, lengths=lengths).directions, trace.layers[0], strict=True
    ):
        assert tuple(gate.name for gate in direction.gates) == layer.options.gates
        for gate in direction.gates:
            values = np.concatenate([getattr(step, gate.name).ravel() for step in of_equations.steps])
            close(gate.mean, values.mean())
            if gate.range == "0..":
                assert (gate.low, gate.high, gate.saturated) == ((values <= 0).mean(), 0.0, 0.0)
            else:
                start = -1.0 if gate.range == "-1..1" else 0.0
                assert (gate.low, gate.high) == ((values <= start + 0.05).mean(), (values >= 0.95).mean())
                assert gate.saturated == gate.low + gate.high
