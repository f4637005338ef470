"""Large arrays that outlive a call: kept for the next one, and never more than once was in use at the same time."""

import gc
from collections.abc import Iterator

import pytest
import torch

import throughtime.nn
from throughtime import kernels
from throughtime.spec.errors import ShapeError

MB = 2**20


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    gc.collect()
    kernels.release_memory()
    assert kernels.memory_use() == kernels.MemoryUse(used=0, kept=0, most_used=0)
    yield
    kernels.release_memory()


def test_what_is_given_back_is_used_again() -> None:
    first = kernels.memory(6 * MB)
    first[...] = 7
    at = first.ctypes.data
    del first
    assert kernels.memory_use() == kernels.MemoryUse(used=0, kept=6 * MB, most_used=6 * MB)
    again = kernels.memory(5 * MB)
    assert again.ctypes.data == at
    assert again.shape == (5 * MB,)
    assert kernels.memory_use() == kernels.MemoryUse(used=6 * MB, kept=0, most_used=6 * MB)


def test_a_piece_stays_with_those_who_hold_a_view_of_it() -> None:
    view = kernels.memory(4 * MB)[MB:]
    assert kernels.memory_use().used == 4 * MB
    other = kernels.memory(4 * MB)
    other[...] = 1
    view[...] = 2
    assert int(other.max()) == 1


def test_a_much_larger_piece_is_not_taken_for_a_small_one() -> None:
    large, beside = kernels.memory(40 * MB), kernels.memory(4 * MB)
    del large
    small = kernels.memory(4 * MB)
    # Kept beside what is used now, it would be more than ever was in use.
    assert kernels.memory_use() == kernels.MemoryUse(used=8 * MB, kept=0, most_used=44 * MB)
    del beside, small


def test_no_more_is_held_than_was_once_in_use() -> None:
    for size in range(2, 60, 4):
        piece = kernels.memory(size * MB)
        del piece
    use = kernels.memory_use()
    assert use.used + use.kept <= use.most_used == 58 * MB


def test_sizes_are_checked() -> None:
    with pytest.raises(ShapeError, match="bytes must not be negative, but is -1"):
        kernels.memory(-1)
    assert kernels.memory(0).shape == (0,)


def test_training_takes_the_same_memory_at_every_step_and_gives_it_back_when_asked() -> None:
    layer = throughtime.nn.LSTM(32, 64, 2, bidirectional=True)
    uses = []
    for _ in range(3):
        y, _ = layer(torch.randn(100, 40, 32))
        y.sum().backward()
        del y
        uses.append(kernels.memory_use())
    assert uses[0].most_used > 10 * MB
    assert uses[0].used == 0
    assert uses == [uses[0]] * 3
    throughtime.nn.release_memory()
    assert kernels.memory_use() == kernels.MemoryUse(used=0, kept=0, most_used=0)


def test_two_graphs_at_once_have_memory_of_their_own() -> None:
    torch.manual_seed(0)
    layer = throughtime.nn.GRU(32, 64)
    one, other = torch.randn(100, 40, 32), torch.randn(100, 40, 32)

    def gradients(x: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters())))

    apart = [gradients(one), gradients(other)]
    losses = [layer(x)[0].square().sum() for x in (one, other)]
    together = [torch.autograd.grad(loss, list(layer.parameters())) for loss in losses]
    for got, expected in zip(together, apart, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
