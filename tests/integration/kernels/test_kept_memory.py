"""Large arrays that outlive a call: kept for the next one, and little more than once was in use at the same time."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import throughtime.nn
from throughtime import kernels
from throughtime.spec.errors import ShapeError

MB = 2**20
BESIDE = 32 * MB
"""Of each purpose so much is kept beside what once was in use."""


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    gc.collect()
    kernels.release_memory()
    if kernels.memory_use().used:
        pytest.fail("an earlier test still holds large arrays")
    yield
    kernels.release_memory()


def counts() -> tuple[int, int, int]:
    """MB in use, kept, and the most that were in use."""
    use = kernels.memory_use()
    return use.used // MB, use.kept // MB, use.most_used // MB


def test_what_is_given_back_is_used_again() -> None:
    first = kernels.take_memory(6 * MB)
    first[...] = 7
    at = first.ctypes.data
    del first
    assert counts() == (0, 6, 6)
    again = kernels.take_memory(5 * MB)
    assert again.ctypes.data == at
    assert again.shape == (5 * MB,)
    assert counts() == (6, 0, 6)


def test_a_piece_stays_with_those_who_hold_a_view_of_it() -> None:
    view = kernels.take_memory(4 * MB)[MB:]
    assert kernels.memory_use().used == 4 * MB
    other = kernels.take_memory(4 * MB)
    other[...] = 1
    view[...] = 2
    assert int(other.max()) == 1


def test_a_much_larger_piece_is_not_taken_for_a_small_one() -> None:
    large, beside = kernels.take_memory(256 * MB), kernels.take_memory(4 * MB)
    del large
    small = kernels.take_memory(40 * MB)
    # Kept beside what is used now, it would be 300 MB where 260 were in use, more than 32 MB more; it is given back.
    assert counts() == (44, 0, 260)
    del beside, small


@pytest.mark.parametrize("result", [True, False])
def test_a_large_piece_stays_beside_a_small_one(result: bool) -> None:
    for _ in range(3):
        for size in (12, 2):
            piece = kernels.take_memory(size * MB, result=result)
            del piece
    assert counts() == (0, 14, 12)


def test_sizes_that_are_nearly_alike_share_a_piece() -> None:
    before = kernels.memory_use().mappings
    for size in (33, 35, 34, 40, 38):
        piece = kernels.take_memory(size * MB)
        del piece
    assert kernels.memory_use().mappings == before + 1
    assert counts() == (0, 40, 40)


def test_turns_of_two_sizes_need_no_memory_of_their_own() -> None:
    before = kernels.memory_use().mappings
    for _ in range(3):
        for size in (96, 40):
            piece = kernels.take_memory(size * MB)
            del piece
    assert kernels.memory_use().mappings == before + 1
    assert counts() == (0, 96, 96)


def test_what_is_kept_makes_way_where_the_system_has_no_more() -> None:
    code = """
import resource
from throughtime import kernels
MB = 2**20
kernels.take_memory(500 * MB)
first, kept = kernels.take_memory(100 * MB), kernels.take_memory(200 * MB)
del kept
with open("/proc/self/statm") as file:
    mapped = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 20 * MB, resource.RLIM_INFINITY))
other = kernels.take_memory(40 * MB)  # within what was once in use, but not in the address space
print(kernels.memory_use().used // MB, kernels.memory_use().kept // MB)
try:
    kernels.take_memory(4000 * MB)
except MemoryError:
    print("refused", kernels.memory_use().used // MB)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines() == ["152 0", "refused 152"]


def test_a_piece_is_no_larger_than_needed_where_memory_is_short() -> None:
    code = """
import resource
from throughtime import kernels
MB = 2**20
kernels.take_memory(2 * MB)
kernels.release_memory()
with open("/proc/self/statm") as file:
    mapped = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 38 * MB, resource.RLIM_INFINITY))
held = kernels.take_memory(33 * MB)
print(kernels.memory_use().used // MB)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["34"]


def test_threads_share_it() -> None:
    def work(number: int) -> bool:
        right = True
        for size in range(1, 30):
            piece = kernels.take_memory((size * (number + 1) % 7 + 1) * MB)
            piece[:: MB // 4] = number
            right = right and bool((piece[:: MB // 4] == number).all())
            del piece
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    use = kernels.memory_use()
    assert use.used == 0
    assert use.kept <= use.most_used + BESIDE


def test_little_more_is_held_than_was_once_in_use() -> None:
    for size in range(2, 60, 4):
        piece = kernels.take_memory(size * MB)
        del piece
    use = kernels.memory_use()
    assert use.most_used == 64 * MB
    assert use.used + use.kept <= use.most_used + BESIDE


def test_sizes_are_checked() -> None:
    with pytest.raises(ShapeError, match="bytes must not be negative, but is -1"):
        kernels.take_memory(-1)
    assert kernels.take_memory(0).shape == (0,)


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
    assert uses == [uses[0]] * 3  # nothing is mapped after the first step
    throughtime.nn.release_memory()
    assert counts() == (0, 0, 0)


def test_of_what_callers_gather_only_some_is_kept() -> None:
    gathered = [kernels.take_memory(40 * MB, result=True) for _ in range(10)]
    inside = kernels.take_memory(300 * MB)
    assert counts() == (720, 0, 720)
    del gathered
    assert counts() == (320, 240, 720)  # six of ten
    del inside
    assert counts() == (0, 560, 720)


def test_a_result_that_is_not_kept_leaves_the_others_alone() -> None:
    small, large = kernels.take_memory(10 * MB, result=True), kernels.take_memory(300 * MB, result=True)
    del small, large
    assert counts() == (0, 10, 314)


def test_a_result_takes_little_more_than_it_needs() -> None:
    held = kernels.take_memory(5 * MB + 1, result=True)
    held[...] = 3
    assert kernels.memory_use().used == 5 * MB + 2**18
    del held
    small = kernels.take_memory(2 * MB, result=True)
    assert counts() == (2, 5, 5)  # not in the larger one
    del small


def test_pieces_begin_at_different_distances_from_a_page() -> None:
    pieces = [kernels.take_memory(2 * MB) for _ in range(15)]
    distances = {piece.ctypes.data % 4096 for piece in pieces}
    assert len(distances) == 15
    assert all(distance % 64 == 0 for distance in distances)
    for number, piece in enumerate(pieces):
        piece[...] = number  # the whole of it is there
    assert all((piece == number).all() for number, piece in enumerate(pieces))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_results_lie_in_the_memory_of_earlier_ones(dtype: torch.dtype) -> None:
    layer = throughtime.nn.GRU(32, 64, dtype=dtype)
    x = torch.randn(600, 40, 32, dtype=dtype, requires_grad=True)

    def step() -> None:
        y, _ = layer(x)
        y.sum().backward()
        assert x.grad is not None
        results = y.nbytes + x.grad.nbytes
        assert kernels.memory_use().used >= results
        assert not y._is_view()  # a view could not be changed in its place
        assert not x.grad._is_view()
        x.grad = None

    step()
    mappings = kernels.memory_use().mappings
    step()
    assert kernels.memory_use().mappings == mappings


def test_a_large_gradient_of_a_weight_lies_there_too() -> None:
    layer = throughtime.nn.RNN(1024, 600)
    layer(torch.randn(2, 2, 1024))[0].sum().backward()
    gradient = layer.get_parameter("weight_ih_l0").grad
    assert gradient is not None
    assert kernels.memory_use().used >= gradient.nbytes
    del gradient
    layer.zero_grad()
    assert kernels.memory_use().used == 0


def test_an_output_that_is_held_keeps_its_values() -> None:
    layer, x = throughtime.nn.LSTM(32, 64), torch.randn(300, 40, 32)
    with torch.no_grad():
        first = layer(x)[0]
        copy, rest = first.clone(), first[10:].numpy()
        del first
        for _ in range(3):
            layer(-x)
    assert torch.equal(torch.from_numpy(rest), copy[10:])


def test_padding_takes_no_room() -> None:
    layer, x = throughtime.nn.LSTM(32, 64), torch.randn(400, 40, 32)
    y, _ = layer(x, lengths=[400] + [40] * 39)
    whole = 400 * 40 * 5 * 64 * 4
    assert 2 * MB <= kernels.memory_use().used - y.nbytes < whole / 4
    y.sum().backward()


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
