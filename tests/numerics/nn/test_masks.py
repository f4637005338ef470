"""The random masks of a call: the same bits on every backend, in the layout of the input, in the order that is said."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import throughtime.nn
from throughtime import kernels
from throughtime.nn import masks, native, plain, prepared
from throughtime.nn.booleans import booleans, words
from throughtime.nn.lengths import Unpadded
from throughtime.spec import tolerances
from throughtime.spec.cells import LayerOptions
from throughtime.spec.masks import Masks

LENGTHS = [4, 9, 1, 9, 2, 7]
OPTIONS: dict[str, Any] = {"zoneout": (0.3, 0.2), "recurrent_dropout": 0.4, "weight_dropout": 0.5}
CPU = torch.device("cpu")


def _fields(drawn: Any) -> list[Tensor]:
    """All masks that are there, in the order in which they are drawn."""
    names = ("weight_hh", "recurrent", "zoneout_h", "zoneout_c")
    found = (getattr(mask, name) for layer in drawn for mask in layer for name in names)
    return [mask for mask in found if mask is not None]


def test_shapes_dtypes_and_values() -> None:
    options = LayerOptions("LSTM", 3, (5, 6), bidirectional=True, proj_size=2, coupled_gates=True, **OPTIONS)
    drawn = masks.draw(options, (7, 4), 4, torch.float64, CPU)
    assert drawn is not None
    for layer, size in zip(drawn, (5, 6), strict=True):
        for mask in layer:
            expected = [((3 * size, 2), 0.5), ((4, 2), 0.4), ((7, 4, 2), None), ((7, 4, size), None)]
            for tensor, (shape, share) in zip(_fields([[mask]]), expected, strict=True):
                assert tensor.shape == shape
                if share is None:
                    assert tensor.dtype == torch.bool
                else:
                    assert tensor.dtype == torch.float64
                    assert set(tensor.flatten().tolist()) <= {0.0, 1 / (1 - share)}


def test_one_after_the_other_in_the_order_that_is_said() -> None:
    options = LayerOptions("LSTM", 3, (5, 6), bidirectional=True, **OPTIONS)
    torch.manual_seed(4)
    drawn = masks.draw(options, (7, 4), 4, torch.float32, CPU)
    torch.manual_seed(4)
    for layer, direction in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        assert drawn is not None
        mask, size = drawn[layer][direction], (5, 6)[layer]
        assert mask.weight_hh is not None
        assert mask.recurrent is not None
        assert torch.equal(mask.weight_hh == 0, booleans((4 * size, size), 0.5, CPU))
        assert torch.equal(mask.recurrent == 0, booleans((4, size), 0.4, CPU))
        assert torch.equal(mask.zoneout_h, booleans((7, 4, size), 0.3, CPU))  # type: ignore[arg-type]
        assert torch.equal(mask.zoneout_c, booleans((7, 4, size), 0.2, CPU))  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.1, 0.5, 0.9, 1 - 2**-20])
def test_shares_are_kept(share: float) -> None:
    count = 400_001  # no multiple of what a word gives
    drawn = booleans((count,), share, CPU)
    deviation = 5 * (share * (1 - share) / count) ** 0.5
    assert abs(drawn.double().mean().item() - share) <= deviation + 2**-16


def test_neighbours_are_independent() -> None:
    """Values from the same word too, and of one draw from those of the next."""
    drawn, later = (booleans((400_000,), 0.5, CPU).double() - 0.5 for _ in range(2))
    for lag in range(1, 9):
        correlation = float((drawn[lag:] * drawn[:-lag]).mean()) / 0.25
        assert abs(correlation) < 5 / 400_000**0.5
    assert abs(float((drawn * later).mean()) / 0.25) < 5 / 400_000**0.5


def test_words_are_those_of_splitmix64() -> None:
    """The first of state 1234567, as its author's C code gives them."""
    start = torch.tensor([1234567 + 0x9E3779B97F4A7C15 - 2**64])  # the code steps before it mixes
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert [word % 2**64 for word in words(start, 5).tolist()] == expected


@pytest.mark.parametrize("shape", [(1,), (0, 3), (2, 3, 5), (300_001,)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1 - 2**-20])
def test_the_core_draws_the_same_bits(shape: tuple[int, ...], share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.available()
    torch.manual_seed(6)
    by_core, next_number = booleans(shape, share, CPU), torch.rand(1)
    monkeypatch.setattr(kernels, "available", lambda: False)
    torch.manual_seed(6)
    by_torch = booleans(shape, share, CPU)
    assert by_core.dtype == by_torch.dtype == torch.bool
    assert torch.equal(by_core, by_torch)
    assert torch.equal(torch.rand(1), next_number)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_they_are_random_too(backend: str) -> None:
    """Two draws; inductor compiles to C++, where what wraps in torch is undefined."""
    torch.compiler.reset()
    drawn = torch.compile(lambda: (booleans((50, 401), 0.3, CPU), booleans((50, 401), 0.3, CPU)), backend=backend)
    first, second = drawn()
    for mask in (first, second):
        assert mask.dtype == torch.bool
        assert abs(mask.double().mean().item() - 0.3) < 5 * (0.21 / mask.numel()) ** 0.5
    assert abs((first & second).double().mean().item() - 0.09) < 5 * (0.09 * 0.91 / first.numel()) ** 0.5


def test_masks_without_values() -> None:
    with FakeTensorMode():
        fake = booleans((2, 3), 0.3, CPU)
    for mask in (fake, booleans((2, 3), 0.3, torch.device("meta"))):
        assert (mask.shape, mask.dtype) == ((2, 3), torch.bool)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_mapped_masks_are_random_too(randomness: str) -> None:
    drawn = torch.func.vmap(lambda _: booleans((7, 501), 0.3, CPU), randomness=randomness)(torch.zeros(3))
    assert drawn.shape == (3, 7, 501)
    assert torch.equal(drawn[0], drawn[1]) == (randomness == "same")
    assert abs(drawn.double().mean().item() - 0.3) < 5 * (0.21 / 3507) ** 0.5


@pytest.mark.parametrize("way", ["padded", "packed", "end to end"])
def test_every_backend_gets_the_same_bits(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = throughtime.nn.LSTM(3, [5, 6], bidirectional=True, dropout=0.3, **OPTIONS)
    seen: dict[str, list[Any]] = {"native": [], "torch": []}
    weights: dict[str, list[Tensor]] = {"native": [], "torch": []}

    def run_native(options: Any, layer: int, flat: Any, x: Tensor, *others: Any, masks: Any) -> Any:
        seen["native"].append(masks)
        weights["native"].extend(flat)
        batch = len(LENGTHS)
        ends = tuple(x.new_zeros(2, batch, options.hidden_size[layer]) for _ in range(2))
        return x.new_zeros(*x.shape[:-1], 2 * options.hidden_size[layer]), ends

    original = plain.run_stack

    def run_torch(options: Any, by_layer: Any, *others: Any, masks: Any, **more: Any) -> Any:
        seen["torch"].extend(masks)
        weights["torch"].extend(chain.from_iterable(chain.from_iterable(by_layer)))
        return original(options, by_layer, *others, masks=masks, **more)

    monkeypatch.setattr(native, "unfit", lambda options, x, weights: None)
    monkeypatch.setattr(native, "run_layer", run_native)
    monkeypatch.setattr(plain, "run_stack", run_torch)
    padded = torch.randn(max(LENGTHS), len(LENGTHS), 3)
    for backend in ("native", "torch"):
        layer.backend = backend
        torch.manual_seed(5)
        if way == "padded":
            layer(padded, lengths=LENGTHS)
        elif way == "packed":
            layer(pack_padded_sequence(padded, torch.tensor(LENGTHS), enforce_sorted=False))
        else:
            layer.end_to_end(torch.randn(sum(LENGTHS), 3, generator=torch.Generator()), LENGTHS)
    for ours, theirs in zip(weights["native"], weights["torch"], strict=True):
        assert torch.equal(ours, theirs)
    rows = Unpadded(torch.tensor(LENGTHS).sort(descending=True).values, True, CPU)
    rows = Unpadded(torch.tensor(LENGTHS), False, CPU) if way == "end to end" else rows
    pairs = list(zip(seen["native"], seen["torch"], strict=True))
    assert len(pairs) == 2
    for ours, theirs in zip(*(chain.from_iterable(part) for part in zip(*pairs, strict=True)), strict=True):
        for name in ("recurrent", "zoneout_h", "zoneout_c"):
            mask, other = getattr(ours, name), getattr(theirs, name)
            # torch operations get input without padding padded, and so its masks.
            assert torch.equal(mask if way == "padded" or name == "recurrent" else rows.pad(mask), other)


@pytest.mark.parametrize("way", ["packed", "end to end"])
def test_masks_without_padding_mean_the_same_steps(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = throughtime.nn.LSTM(3, 5, bidirectional=True, dtype=torch.float64, **OPTIONS)
    order = torch.tensor(LENGTHS).sort(descending=True, stable=True).indices
    back = order.argsort()
    drawn = masks.draw(layer.options, (max(LENGTHS), len(LENGTHS)), len(LENGTHS), torch.float64, CPU)
    assert drawn is not None
    real = torch.arange(max(LENGTHS))[:, None] < torch.tensor(LENGTHS)

    def laid_out(mask: Masks[Tensor]) -> Masks[Tensor]:
        """From the padded layout to that of the way."""
        assert mask.recurrent is not None

        def steps(part: Any) -> Tensor:
            result = part[:, order][real[:, order]] if way == "packed" else part.transpose(0, 1)[real.T]
            assert isinstance(result, Tensor)
            return result

        recurrent = mask.recurrent[order] if way == "packed" else mask.recurrent
        return Masks(steps(mask.zoneout_h), steps(mask.zoneout_c), recurrent, mask.weight_hh)

    x = torch.randn(max(LENGTHS), len(LENGTHS), 3, dtype=torch.float64)
    monkeypatch.setattr(prepared, "draw", lambda *_: drawn)
    expected, (h_n, c_n) = layer(x, lengths=LENGTHS)
    monkeypatch.setattr(prepared, "draw", lambda *_: [[laid_out(mask) for mask in level] for level in drawn])
    if way == "packed":
        packed, after = layer(pack_padded_sequence(x, torch.tensor(LENGTHS), enforce_sorted=False))
        output, _ = pad_packed_sequence(packed)
        assert torch.equal(packed.unsorted_indices, back)
    else:
        tokens, after = layer.end_to_end(x.transpose(0, 1)[real.T], LENGTHS)
        output = torch.zeros_like(expected).transpose(0, 1).masked_scatter(real.T[:, :, None], tokens).transpose(0, 1)
    row = tolerances.OUTPUT["float64"]
    for ours, theirs in zip((output, *after), (expected, h_n, c_n), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=row.rtol, atol=row.atol)


def test_nothing_is_drawn_but_in_training() -> None:
    layer = throughtime.nn.LSTM(3, [5, 6], **OPTIONS).eval()
    x, before = torch.randn(7, 2, 3), torch.get_rng_state()
    output, _ = layer(x)
    assert torch.equal(output, layer(x)[0])
    assert torch.equal(before, torch.get_rng_state())
    layer.train()
    assert not torch.equal(layer(x)[0], layer(x)[0])
    plain_layer = throughtime.nn.LSTM(3, [5, 6])
    before = torch.get_rng_state()
    plain_layer(x)
    assert torch.equal(before, torch.get_rng_state())


def test_masks_come_before_the_dropout_between_layers() -> None:
    layer = throughtime.nn.GRU(3, 5, 2, dropout=0.5, zoneout=0.3)
    x = torch.randn(7, 2, 3)
    torch.manual_seed(6)
    output, _ = layer(x)
    torch.manual_seed(6)
    masks.draw(layer.options, (7, 2), 2, torch.float32, CPU)
    kept = torch.nn.functional.dropout(torch.ones(7, 2, 5), 0.5)
    torch.manual_seed(6)
    layer.dropout = 0.0
    bottom = throughtime.nn.GRU(3, 5, zoneout=0.3)
    bottom.load_state_dict({k: v for k, v in layer.state_dict().items() if k.endswith("l0")})
    top = throughtime.nn.GRU(5, 5, zoneout=0.3)
    top.load_state_dict({k[:-1] + "0": v for k, v in layer.state_dict().items() if k.endswith("l1")})
    torch.manual_seed(6)
    below, _ = bottom(x)
    again, _ = top(below * kept)
    row = tolerances.OUTPUT["float32"]
    torch.testing.assert_close(output, again, rtol=row.rtol, atol=row.atol)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_weight_dropout_is_the_plain_layer_with_masked_weights(
    cell: str, backend: str, draws: Callable[..., Any]
) -> None:
    layer = getattr(throughtime.nn, cell)(3, 5, bidirectional=True, weight_dropout=0.5, backend=backend)
    twin = getattr(throughtime.nn, cell)(3, 5, bidirectional=True, backend=backend)
    [[forward, reverse]] = draws(layer, 7, 2)
    state = layer.state_dict()
    for name, mask in (("weight_hh_l0", forward), ("weight_hh_l0_reverse", reverse)):
        assert 0.2 < np.mean(mask.weight_hh == 0) < 0.8
        state[name] = state[name] * torch.from_numpy(mask.weight_hh).float()
    twin.load_state_dict(state)
    x = torch.randn(7, 2, 3)
    torch.manual_seed(7)  # what the fixture's state of the generator was
    assert torch.equal(twin(x)[0], twin(x)[0])
    [[forward, _]] = draws(layer, 7, 2)
    output, _ = layer(x)
    with torch.no_grad():
        twin.weight_hh_l0.copy_(layer.weight_hh_l0 * torch.from_numpy(forward.weight_hh).float())
    assert torch.equal(output[..., :5], twin(x)[0][..., :5])
    output.sum().backward()
    dropped = torch.from_numpy(forward.weight_hh == 0)
    assert not layer.weight_hh_l0.grad[dropped].any()
    assert layer.weight_hh_l0.grad[~dropped].any()
