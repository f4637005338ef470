"""What commands share of the console: results to stdout, everything else to stderr."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_FIRST_AFTER: Final = 0.5
_LIVE_EVERY: Final = 0.1
_LINE_EVERY: Final = 30.0


@contextmanager
def counting(done: str) -> Iterator[Callable[[int], None]]:
    """Gives a function to be told of every number of texts done; shows their sum on stderr if it takes a while.

    On a terminal it is one live line, which vanishes at the end; elsewhere a line every half minute.

    Args:
        done: what happened to the texts, as in "predicted".
    """
    live = sys.stderr.isatty()
    total, shown = 0, False
    due = time.monotonic() + (_FIRST_AFTER if live else _LINE_EVERY)

    def count(texts: int) -> None:
        nonlocal total, shown, due
        total += texts
        if time.monotonic() >= due:
            print(f"{done} {total:,} texts", end="\r" if live else "\n", file=sys.stderr, flush=True)
            shown = True
            due = time.monotonic() + (_LIVE_EVERY if live else _LINE_EVERY)

    try:
        yield count
    finally:
        if live and shown:
            print("\x1b[2K", end="\r", file=sys.stderr, flush=True)
