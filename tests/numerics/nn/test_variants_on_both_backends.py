"""Every variant: the native core and torch operations give the same numbers from the same seed, for every input."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.nn.utils.rnn import pack_padded_sequence
from torch.testing import assert_close

import throughtime.nn
from throughtime.spec.tolerances import GRADIENT, OUTPUT_NORMALISED

# torch warns that oneDNN has no projections, and its compiler that it does not see caches.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LENGTHS = [4, 7, 1, 6, 7]
EVERYTHING = {"layer_norm": True, "zoneout": 0.3, "recurrent_dropout": 0.3, "weight_dropout": 0.3}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN": ("RNN", EVERYTHING),
    "GRU": ("GRU", EVERYTHING),
    "LSTM": ("LSTM", EVERYTHING | {"peephole": True, "coupled_gates": True, "proj_size": 3}),
    "LSTM-zoneout": ("LSTM", {"zoneout": (0.2, 0.4)}),
    "LSTM-projection": ("LSTM", {"proj_size": 3}),
    "LSTM-weight-dropout": ("LSTM", {"weight_dropout": 0.5}),
    "MinGRU": ("MinGRU", {"zoneout": 0.3}),
    "MinLSTM": ("MinLSTM", {"zoneout": 0.3}),
    "IndRNN": ("IndRNN", {"zoneout": 0.3}),
}
each_variant = pytest.mark.parametrize(("cell", "options"), VARIANTS.values(), ids=VARIANTS.keys())


@pytest.fixture
def both() -> Callable[..., list[Any]]:
    """both(cell, dtype, **options): the same layer on the core and on torch operations."""

    def make(cell: str, dtype: torch.dtype, **options: Any) -> list[Any]:
        kind = getattr(throughtime.nn, cell)
        torch.manual_seed(2)
        native, plain = (
            kind(3, [17, 20], bidirectional=True, dtype=dtype, backend=backend, **options)
            for backend in ("native", "torch")
        )
        plain.load_state_dict(native.state_dict())
        return [native, plain]

    return make


def forms(x: Tensor) -> dict[str, Callable[[Any], Any]]:
    """The same sequences padded, packed and end to end: form → call of a layer that returns all results, flat."""
    lengths = torch.tensor(LENGTHS)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    rows = torch.cat([x[:length, b] for b, length in enumerate(LENGTHS)])

    def flat(results: Any) -> list[Tensor]:
        if isinstance(results, torch.nn.utils.rnn.PackedSequence):
            return [results.data]
        return [results] if isinstance(results, Tensor) else [t for part in results for t in flat(part)]

    return {
        "padded": lambda layer: flat(layer(x, lengths=lengths)),
        "packed": lambda layer: flat(layer(packed)),
        "end to end": lambda layer: flat(layer.end_to_end(rows, lengths)),
        "shared rows": lambda layer: flat(layer.end_to_end(rows[:9], lengths, index=torch.arange(len(rows)) % 9)),
    }


@each_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_values_and_gradients(
    both: Callable[..., list[Any]], cell: str, options: dict[str, Any], dtype: torch.dtype, training: bool
) -> None:
    if dtype == torch.float32:
        # Steps that divide by small deviations are too steep to compare float32; tests/numerics/kernels does so.
        options = options | ({"layer_norm": False} if "layer_norm" in options else {})
    layers = both(cell, dtype, **options)
    values, gradients = OUTPUT_NORMALISED[str(dtype).split(".")[1]], GRADIENT[str(dtype).split(".")[1]]
    x = torch.randn(7, 5, 3, dtype=dtype)
    for form in forms(x):
        found = []
        for layer in layers:
            given = x.clone().requires_grad_()
            torch.manual_seed(3)
            results = forms(given)[form](layer.train(training))
            torch.manual_seed(4)
            loss = sum((result * torch.randn_like(result)).sum() for result in results)
            found.append((results, torch.autograd.grad(loss, [given, *layer.parameters()])))
        (ours, d_ours), (theirs, d_theirs) = found
        for got, expected in zip(ours, theirs, strict=True):
            assert_close(got, expected, rtol=values.rtol, atol=values.atol, msg=f"{form}: {{}}".format)
        for got, expected in zip(d_ours, d_theirs, strict=True):
            row = gradients.of_sums(float(expected.abs().max()))
            assert_close(got, expected, rtol=row.rtol, atol=row.atol, msg=f"{form}: {{}}".format)


@each_variant
def test_gradcheck_of_the_core(both: Callable[..., list[Any]], cell: str, options: dict[str, Any]) -> None:
    layer, _ = both(cell, torch.float64, **options)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *parameters: Tensor) -> Any:
        torch.manual_seed(5)
        output, _ = torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (x,), {"lengths": [4, 2]}
        )
        return output

    x = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(run, (x, *layer.parameters()), fast_mode=True)


@each_variant
def test_a_stream_gives_what_the_layer_gives(
    both: Callable[..., list[Any]], cell: str, options: dict[str, Any]
) -> None:
    kind = getattr(throughtime.nn, cell)
    for backend in ("native", "torch"):
        layer = kind(3, 5, 2, backend=backend, **options).eval()
        x = torch.randn(6, 2, 3)
        with torch.no_grad():
            expected, state = layer(x)
        stream = layer.stream(2)
        got = torch.stack([stream.step(x_t) for x_t in x])
        row = OUTPUT_NORMALISED["float32"]
        assert_close(got, expected, rtol=row.rtol, atol=row.atol)
        assert_close(stream.state, state, rtol=row.rtol, atol=row.atol)


@each_variant
def test_compiled_whole(both: Callable[..., list[Any]], cell: str, options: dict[str, Any]) -> None:
    torch.compiler.reset()
    layer, _ = both(cell, torch.float32, **options)
    layer.eval()
    x = torch.randn(7, 5, 3)
    compiled = torch.compile(lambda given: layer(given)[0], fullgraph=True, backend="aot_eager")
    assert_close(compiled(x), layer(x)[0])
