"""Several pieces of work at the same time, each on one thread of the core."""

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
    """Threads that apply one function to items, while the caller goes on: as many as the core may use.

    The core takes one item faster with all its threads than with one; but many items are faster side by side: no thread
    waits for another at the end of each, nor for what Python does between them. To be used as a context; at its end,
    what has not begun is dropped.
    """

    def __init__(self, function: Callable[[_Item], _Result]) -> None:
        self._function = function
        self.count = kernels.threads()
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> "Workers[_Item, _Result]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, items: Sequence[_Item]) -> Callable[[], list[_Result]]:
        """Begins with the items; what it returns waits for the results, in the order of the items."""
        if self.count < 2 or len(items) < _FEW * self.count:
            results = [self._function(item) for item in items]
            return lambda: results
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count, "throughtime", kernels.limit_threads, (1,))
        futures: list[Future[_Result]] = [self._pool.submit(self._function, item) for item in items]
        return lambda: [future.result() for future in futures]
