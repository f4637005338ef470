"""Sequences without padding, end to end or packed: the same numbers as padded ones with lengths."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from throughtime.spec import tolerances
from throughtime.spec.errors import ShapeError

LENGTHS = [4, 9, 1, 9, 2, 7]
REAL = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
"""(batch, seq_len): real steps; by rows, so in the order of sequences end to end."""

CELLS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "sigmoid"}),
    ("GRU", {}),
    ("GRU", {"reset_after": False}),
    ("LSTM", {"hidden_size": [6, 3], "bidirectional": True}),
    ("LSTM", {"num_layers": 2, "bias": False}),
    ("LSTM", {"num_layers": 2, "layer_norm": True, "peephole": True, "zoneout": (0.2, 0.1), "proj_size": 2}),
    ("GRU", {"layer_norm": True, "bidirectional": True}),
    ("MinGRU", {"zoneout": 0.2, "bidirectional": True}),
    ("MinLSTM", {}),
    ("IndRNN", {}),
]


def _states(layer: Any) -> list[Tensor]:
    """h_0 of each layer, or h_0 and c_0 of each."""
    options = layer.options
    of_h = [options.output_features(index) for index in range(options.num_layers)]
    sizes = [*of_h, *options.hidden_size] if options.has_cell_state else of_h
    drawn = [torch.randn(options.num_directions, 6, size, dtype=torch.float64) for size in sizes]
    return [state.to(layer.all_weights[0][0].dtype).requires_grad_() for state in drawn]


def _form(layer: Any, states: list[Tensor]) -> Any:
    """As the layer takes and gives them."""
    count = layer.num_layers
    parts = [states[i : i + count] for i in range(0, len(states), count)]
    joined = [part if isinstance(layer.hidden_size, tuple) else torch.cat(part) for part in parts]
    return tuple(joined) if len(joined) == 2 else joined[0]


def _flat(state: Any) -> list[Tensor]:
    return [state] if isinstance(state, Tensor) else [tensor for part in state for tensor in _flat(part)]


def _results(layer: Any, way: str, x: Tensor, states: list[Tensor]) -> list[Tensor]:
    """Output of the real steps, end to end, states, then gradients of x there, the states before, the parameters."""
    layer.zero_grad()
    hx = _form(layer, states)
    if way == "end to end":
        output, after = layer.end_to_end(x, LENGTHS, hx)
    else:
        padded = x.new_zeros(len(LENGTHS), max(LENGTHS), x.shape[1]).masked_scatter(REAL[:, :, None], x).transpose(0, 1)
        if way == "packed":
            packed, after = layer(pack_padded_sequence(padded, torch.tensor(LENGTHS), enforce_sorted=False), hx)
            assert isinstance(packed, PackedSequence)
            steps, _ = pad_packed_sequence(packed)
        else:
            steps, after = layer(padded, hx, lengths=LENGTHS)
        output = steps.transpose(0, 1)[REAL]
    values = [output, *_flat(after)]
    generator = torch.Generator().manual_seed(3)
    upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v.dtype) for v in values]
    leaves = [x, *states, *layer.parameters()]
    return [v.detach() for v in values] + list(torch.autograd.grad(values, leaves, upstream))


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", ["end to end", "packed"])
def test_equals_padded(
    cell: str, options: dict[str, Any], dtype: torch.dtype, way: str, backend: str, skip_if_the_core_lacks: Any
) -> None:
    layer = getattr(throughtime.nn, cell)(5, **{"hidden_size": 6, "dtype": dtype, "backend": backend, **options})
    skip_if_the_core_lacks(layer.eval())
    x, states = torch.randn(sum(LENGTHS), 5, dtype=dtype, requires_grad=True), _states(layer)
    leaves = 1 + len(states) + len(list(layer.parameters()))
    found = list(zip(_results(layer, way, x, states), _results(layer, "padded", x, states), strict=True))
    for values, table in ((found[:-leaves], tolerances.OUTPUT), (found[-leaves:], tolerances.GRADIENT)):
        row = table[str(dtype).removeprefix("torch.")]
        for got, expected in values:
            torch.testing.assert_close(got, expected, rtol=row.rtol, atol=row.atol)
            assert backend == "torch" or torch.equal(got, expected)


@pytest.mark.parametrize("way", ["rows", "index", "packed"])
def test_any_strides(way: str, backend: str) -> None:
    """What torch hands over need not be contiguous: views as input, and gradients of sum, cat and expand."""
    layer = throughtime.nn.GRU(5, 1, backend=backend)  # type: ignore[arg-type]
    wide = torch.randn(2 * sum(LENGTHS), 7, requires_grad=True)
    index = torch.randint(9, (2 * sum(LENGTHS),), dtype=torch.int32)[::2]

    def run(x: Tensor) -> Tensor:
        if way == "packed":
            sizes = torch.tensor([sum(n > t for n in LENGTHS) for t in range(max(LENGTHS))])
            output = layer(PackedSequence(x, sizes))[0].data
        elif way == "rows":
            output, _ = layer.end_to_end(x, LENGTHS)
        else:
            output, _ = layer.end_to_end(x[:9], LENGTHS, index=index)
        assert isinstance(output, Tensor)
        return output

    def gradient(x: Tensor, loss: Any) -> Tensor:
        [found] = torch.autograd.grad(loss(run(x)), wide)
        return found

    view, whole = wide[::2, 1:6], wide[::2, 1:6].contiguous()
    losses: list[Any] = [torch.sum, lambda y: y.sum(0).square().sum(), lambda y: torch.cat([y, y], 1).square().sum()]
    for loss in losses:
        torch.testing.assert_close(gradient(view, loss), gradient(whole, lambda y, f=loss: f(y * 1.0)))


def test_batch_sizes_that_grow_are_refused(backend: str) -> None:
    layer = throughtime.nn.RNN(5, 6, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(
        ShapeError, match=r"batch_sizes of a PackedSequence must fall, but batch_sizes\[2\] is 2 after 1"
    ):
        layer(PackedSequence(torch.zeros(6, 5), torch.tensor([3, 1, 2])))


@pytest.mark.parametrize(("cell", "options"), CELLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 7, 30])
def test_tokens_that_share_rows(
    cell: str, options: dict[str, Any], dtype: torch.dtype, rows: int, backend: str, skip_if_the_core_lacks: Any
) -> None:
    layer = getattr(throughtime.nn, cell)(5, **{"hidden_size": 6, "dtype": dtype, "backend": backend, **options})
    skip_if_the_core_lacks(layer.eval())
    x, index = torch.randn(rows, 5, dtype=dtype, requires_grad=True), torch.randint(rows, (sum(LENGTHS),))
    results = []
    for output, after in (layer.end_to_end(x, LENGTHS, index=index), layer.end_to_end(x[index], LENGTHS)):
        values = [output, *_flat(after)]
        generator = torch.Generator().manual_seed(3)
        upstream = [torch.randn(v.shape, generator=generator, dtype=torch.float64).to(v.dtype) for v in values]
        gradients = torch.autograd.grad(values, [x, *layer.parameters()], upstream)
        results.append(([v.detach() for v in values], gradients))
    (ours, our_gradients), (theirs, their_gradients) = results
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    row = tolerances.GRADIENT[str(dtype).removeprefix("torch.")]
    torch.testing.assert_close(our_gradients, their_gradients, rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize(
    "frozen",
    [
        ["x"],
        ["weight_ih_l0"],
        ["x", "weight_ih_l0_reverse"],
        ["weight_ih_l0", "weight_ih_l0_reverse"],
        ["weight_hh_l0"],
    ],
)
def test_tokens_that_share_rows_and_parts_that_are_frozen(cell: str, frozen: list[str], backend: str) -> None:
    """From a state without gradients, too: what is not asked for is None, and the rest as where all is asked for."""
    layer = getattr(throughtime.nn, cell)(5, 6, bidirectional=True, backend=backend)
    x, index = torch.randn(4, 5), torch.randint(4, (sum(LENGTHS),))
    h_0 = torch.randn(2, len(LENGTHS), 6)
    hx = (h_0, torch.randn_like(h_0)) if cell == "LSTM" else h_0
    named = {"x": x, **dict(layer.named_parameters())}
    found = []
    for off in ([], frozen):
        for name, tensor in named.items():
            tensor.grad = None
            tensor.requires_grad_(name not in off)
        layer.end_to_end(x, LENGTHS, hx, index=index)[0].square().sum().backward()
        found.append({name: tensor.grad for name, tensor in named.items()})
    everything, some = found
    for name, gradient in some.items():
        assert (gradient is None) == (name in frozen)
        if gradient is not None:
            assert torch.equal(gradient, everything[name])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([0, 1, 3], r"index must be in 0\.\.2, but goes from 0 to 3"),
        ([0, -1, 2], r"index must be in 0\.\.2, but goes from -1 to 2"),
        ([[0, 1, 2]], r"index must be \(tokens,\) integers, but its shape is \(1, 3\)"),
        ([0.0, 1.0, 2.0], "index must be .* integers, but .* torch.float32"),
        ([], "index must be .* integers, but its shape is .0,."),
        ([0, 1], "lengths must add up to the tokens, but 3 != 2"),
    ],
)
def test_an_index_that_does_not_fit(index: Any, message: str, backend: str) -> None:
    layer = throughtime.nn.RNN(5, 6, backend=backend)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=message):
        layer.end_to_end(torch.zeros(3, 5), [2, 1], index=torch.tensor(index))


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_derivatives(cell: str, backend: str) -> None:
    layer = getattr(throughtime.nn, cell)(2, 3, bidirectional=True, dtype=torch.float64, backend=backend)
    x = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor) -> Any:
        output, after = layer.end_to_end(x, [2, 3, 1])
        return output, *_flat(after)

    def run_indexed(x: Tensor) -> Any:
        output, after = layer.end_to_end(x[:4], [2, 3, 1], index=torch.tensor([3, 0, 0, 1, 3, 2]))
        return output, *_flat(after)

    for function in (run, run_indexed):
        assert torch.autograd.gradcheck(function, (x,))
        if backend == "native" or cell != "LSTM":
            assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_whole() -> None:
    layer = throughtime.nn.GRU(4, 5, bidirectional=True)
    compiled = torch.compile(layer.end_to_end, fullgraph=True, backend="aot_eager")
    for lengths in ([4, 1, 3], [2, 2, 4]):
        x, given = torch.randn(8, 4, requires_grad=True), torch.tensor(lengths)
        outputs = [function(x, given)[0] for function in (compiled, layer.end_to_end)]
        ours, eager = ([output.detach(), *torch.autograd.grad(output.sum(), x)] for output in outputs)
        row = tolerances.GRADIENT["float32"]
        torch.testing.assert_close(ours, eager, rtol=row.rtol, atol=row.atol)
