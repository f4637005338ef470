"""Threads: how many, whose library, after a fork, and from many Python threads at once."""

from collections.abc import Callable

import pytest

Answer = Callable[..., str]
LIBRARIES = """
maps = [line.split()[-1] for line in open('/proc/self/maps') if '.so' in line]
found = {path for path in maps if any(part in path for part in ('libgomp', 'libomp', 'libiomp'))}
print(len(found))
"""


@pytest.mark.parametrize("number", [1, 2, 3])
def test_omp_num_threads_is_respected(answer: Answer, number: int) -> None:
    assert (
        answer("from throughtime import kernels\nprint(kernels.threads())", OMP_NUM_THREADS=str(number)) == f"{number}"
    )


def test_no_more_threads_than_the_core_takes(answer: Answer) -> None:
    text = "from throughtime import kernels\nprint(kernels.threads())\nwork(kernels, kernels.threads())"
    assert answer(text, OMP_NUM_THREADS="1100") == "1024"


@pytest.mark.parametrize("first", ["import torch", "from throughtime import kernels"])
def test_set_num_threads_of_torch_is_respected(answer: Answer, first: str) -> None:
    text = f"""
{first}
import torch
from throughtime import kernels
for number in (1, 2, 3, 1):
    torch.set_num_threads(number)
    print(kernels.threads(), end=' ')
"""
    assert answer(text, OMP_NUM_THREADS="2") == "1 2 3 1"


@pytest.mark.parametrize(("threads", "expected"), [(1, 0), (2, 1), (3, 2)])
def test_as_many_native_threads_as_are_asked_for(answer: Answer, threads: int, expected: int) -> None:
    text = f"""
from throughtime import kernels
before = native_threads()
work(kernels, {threads})
print(native_threads() - before)
"""
    assert answer(text, OMP_NUM_THREADS=None) == f"{expected}"


@pytest.mark.parametrize(
    "imports",
    [
        "import torch\nfrom throughtime import kernels",
        "from throughtime import kernels\nimport torch",
        "from throughtime import kernels\nwork(kernels, 2)\nimport torch",
    ],
    ids=["torch-first", "kernels-first", "kernels-used-first"],
)
def test_one_openmp_library_in_the_process(answer: Answer, imports: str) -> None:
    text = imports + "\nwork(kernels, 2)\nlarge = torch.ones(600, 600)\nlarge @ large\n(large + 1).sum()" + LIBRARIES
    assert answer(text, OMP_NUM_THREADS="2") == "1"


def test_without_an_openmp_library_one_thread_does_the_work(answer: Answer) -> None:
    """Asked for more, too: there is nobody to start them."""
    text = """
import sys, types
sys.modules['throughtime.kernels.openmp'] = openmp = types.ModuleType('openmp')
openmp.load = lambda: None
from throughtime import kernels
one = work(kernels, 1)
two = work(kernels, 2)
assert all(np.array_equal(a, b) for a, b in zip(one, two))
print(kernels.threads(), native_threads())
"""
    assert answer(text) == "1 1"


@pytest.mark.parametrize("torch", [True, False], ids=["with-torch", "without-torch"])
@pytest.mark.parametrize("threads", ["kernels.threads()", "2"], ids=["what-is-available", "two-asked-for"])
def test_works_after_a_fork(answer: Answer, torch: bool, threads: str) -> None:
    """The parent's OpenMP threads are not in the child: waiting for them would never end."""
    text = f"""
import os, signal, warnings
{"import torch" if torch else ""}
from throughtime import kernels
warnings.simplefilter('ignore')
expected = work(kernels, 2)
child = os.fork()
if child == 0:
    signal.alarm(20)
    same = all(np.array_equal(a, b) for a, b in zip(work(kernels, {threads}), expected))
    os._exit(0 if same and kernels.threads() == 1 else 3)
_, status = os.waitpid(child, 0)
again = work(kernels, 2)
assert all(np.array_equal(a, b) for a, b in zip(again, expected))
print(os.waitstatus_to_exitcode(status), kernels.threads())
"""
    assert answer(text, OMP_NUM_THREADS="2") == "0 2"


@pytest.mark.parametrize("threads", [1, 2])
def test_from_many_python_threads_at_once(answer: Answer, threads: int) -> None:
    text = f"""
from concurrent.futures import ThreadPoolExecutor
from throughtime import kernels
expected = [work(kernels, 1, cell=i % 3, hidden=(17, 40, 100)[i % 3], seed=i) for i in range(12)]
def same(i):
    i %= 12
    got = work(kernels, {threads}, cell=i % 3, hidden=(17, 40, 100)[i % 3], seed=i)
    return all(np.array_equal(a, b) for a, b in zip(got, expected[i]))
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(same, range(240))))
"""
    assert answer(text, OMP_NUM_THREADS="2") == "240"


def test_the_interpreter_runs_while_the_core_works(answer: Answer) -> None:
    text = """
import threading, time
from throughtime import kernels
thread = threading.Thread(target=work, args=(kernels, 1, 256, (300,) * 32))
thread.start()
turns = 0
while thread.is_alive():
    time.sleep(0.001)
    turns += 1
print(turns > 20)
"""
    assert answer(text) == "True"
