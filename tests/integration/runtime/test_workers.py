"""Batches side by side: the same numbers, in the order of the texts, and nothing left running."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from throughtime import kernels
from throughtime.runtime.workers import Workers


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("throughtime.kernels.core.available_threads", lambda: 2)


def test_many_items_go_to_threads_of_one_thread_each() -> None:
    seen: list[tuple[str, int]] = []

    def square(number: int) -> int:
        time.sleep(0.005)
        seen.append((threading.current_thread().name, kernels.threads()))
        return number**2

    with Workers(square) as workers:
        first, second = workers.start(range(10)), workers.start(range(10, 20))
        assert second() == [number**2 for number in range(10, 20)]
        assert first() == [number**2 for number in range(10)]
    assert len({name for name, _ in seen}) == 2
    assert {count for _, count in seen} == {1}
    assert kernels.threads() == 2


def test_few_items_are_worked_on_at_once_by_the_caller() -> None:
    def here(_: int) -> tuple[threading.Thread, int]:
        return threading.current_thread(), kernels.threads()

    with Workers(here) as workers:
        assert workers.start([1, 2, 3])() == [(threading.current_thread(), 2)] * 3


def test_an_error_reaches_who_waits_and_the_rest_does_not_begin() -> None:
    begun: list[int] = []

    def fail(number: int) -> None:
        begun.append(number)
        time.sleep(0.005)
        raise ZeroDivisionError(number)

    def wait() -> None:
        with Workers(fail) as workers:
            workers.start(range(1000))()

    with pytest.raises(ZeroDivisionError, match="0"):
        wait()
    assert len(begun) < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("throughtime")]


def test_who_stops_early_leaves_nothing_running() -> None:
    def same(number: int) -> int:
        return number

    def portions() -> Iterator[int]:
        with Workers(same) as workers:
            for _ in range(3):
                yield from workers.start(range(100))()

    asked = portions()
    assert next(asked) == 0
    asked.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("throughtime")]


def test_without_a_thread_to_have_the_caller_works(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, submitted = ThreadPoolExecutor.submit, 0

    def refuse(self: ThreadPoolExecutor, *arguments: object) -> object:
        nonlocal submitted
        submitted += 1
        if submitted > 3:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        return submit(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)

    def double(number: int) -> int:
        return 2 * number

    with Workers(double) as workers:
        assert workers.start(range(10))() == [2 * number for number in range(10)]


def in_a_child(function: Callable[[], list[int]]) -> list[int]:
    """What the function gives in a forked child, which must come to its end."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    child = context.Process(target=lambda: answers.put(function()))
    child.start()
    child.join(20)
    alive = child.is_alive()
    child.kill()
    assert not alive
    assert child.exitcode == 0
    answer: list[int] = answers.get()
    return answer


def test_a_forked_child_waits_for_no_threads() -> None:
    def slow(number: int) -> int:
        time.sleep(0.01)
        return -number

    with Workers(slow) as workers:
        finish = workers.start(range(20))
        assert in_a_child(finish) == finish() == [-number for number in range(20)]


def test_a_forked_child_goes_on_with_what_has_not_begun() -> None:
    def negative(number: int) -> int:
        return -number

    def answers() -> Iterator[int]:
        with Workers(negative) as workers:
            for first in (0, 20, 40):
                yield from workers.start(range(first, first + 20))()

    asked = answers()
    assert [next(asked) for _ in range(20)] == [-number for number in range(20)]
    assert in_a_child(lambda: list(asked)) == [-number for number in range(20, 60)]
    assert list(asked) == [-number for number in range(20, 60)]
