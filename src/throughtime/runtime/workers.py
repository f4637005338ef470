"""Several pieces of work at the same time, each on one thread of the core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Generic, TypeVar

from throughtime import kernels

_FEW: Final = 4
"""Items a thread, below which they are as fast one after the other: threads must start, and wait for the last."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Workers(Generic[_Item, _Result]):
    """Threads that apply one function, without side effects, to many items: as many as the core may use.

    The core takes one item faster with all its threads than with one; but many items are faster side by side: no thread
    waits for another at the end of each, nor for what Python does between them. To be used as a context; at its end,
    what has not begun is dropped. A forked child has none of the threads, and would wait for them for ever: there the
    caller does all work itself.
    """

    def __init__(self, function: Callable[[_Item], _Result]) -> None:
        self._function = function
        self.count = kernels.threads()
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __enter__(self) -> "Workers[_Item, _Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._pool is not None and not self._is_forked():
            self._pool.shutdown(cancel_futures=True)

    def share(self, items: int) -> bool:
        """Whether the threads would take so many items, and not the caller one after the other."""
        return self.count > 1 and items >= _FEW * self.count

    def start(self, items: Sequence[_Item]) -> Callable[[], list[_Result]]:
        """Has the threads begin with the items, or works on them at once if they are few.

        What it returns gives the results, in the order of the items, and waits for them where it must.
        """
        futures = self._submit(items) if self.share(len(items)) else None
        if futures is None:
            results = self._here(items)
            return lambda: results
        return lambda: self._here(items) if self._is_forked() else [f.result() for f in futures]

    def _is_forked(self) -> bool:
        return os.getpid() != self._process

    def _here(self, items: Sequence[_Item]) -> list[_Result]:
        return [self._function(item) for item in items]

    def _submit(self, items: Sequence[_Item]) -> list["Future[_Result]"] | None:
        """None where no thread can be had: the system has none left, Python is about to end, or this is a fork."""
        if self._is_forked():
            return None
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count, "throughtime", kernels.limit_threads, (1,))
        futures: list[Future[_Result]] = []
        try:
            futures.extend(self._pool.submit(self._function, item) for item in items)
        except RuntimeError:
            for future in futures:
                future.cancel()
            return None
        return futures
