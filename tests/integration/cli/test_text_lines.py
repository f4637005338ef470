"""Lines of standard input: the same however they arrive, and in portions that nobody waits for."""

import io
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from throughtime.cli.text_lines import STDIN, arriving_lines, text_lines
from throughtime.spec.errors import DataError


class Pieces(io.RawIOBase):
    """Gives its pieces one a read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, size: int = -1) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class Stdin:
    def __init__(self, raw: io.RawIOBase) -> None:
        self.buffer = raw


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end of standard input that one writes to."""
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        monkeypatch.setattr(sys, "stdin", Stdin(stream))  # type: ignore[arg-type]
        yield writer


@given(
    st.lists(
        st.sampled_from([b"a", b"\n", b"\r\n", "\u00e4".encode(), b"bc\nd", b"\n\n", b"\xef\xbb\xbf"]), max_size=12
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_are_the_same_however_they_arrive(monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]) -> None:
    lines = [line.removesuffix(b"\n").removesuffix(b"\r").decode() for line in io.BytesIO(b"".join(pieces))]
    if lines:
        lines[0] = lines[0].removeprefix("\ufeff")
    for most in (1, 2, 100):
        monkeypatch.setattr(sys, "stdin", Stdin(Pieces(pieces)))
        portions = list(arriving_lines(STDIN, most))
        assert [line for portion in portions for line in portion] == lines
        assert all(0 < len(portion) <= most for portion in portions)


def test_what_has_arrived_comes_when_nothing_more_does(pipe: int) -> None:
    portions = arriving_lines(STDIN, 3)
    os.write(pipe, b"one\ntwo\nthr")
    assert next(portions) == ["one", "two"]
    os.write(pipe, b"ee\n")
    assert next(portions) == ["three"]
    os.write(pipe, b"1\n2\n3\n4\n")
    assert next(portions) == ["1", "2", "3"]
    assert next(portions) == ["4"]
    os.write(pipe, b"last")
    os.close(pipe)
    assert list(portions) == [["last"]]


def test_a_stream_that_does_not_wait_is_waited_for(pipe: int) -> None:
    os.set_blocking(sys.stdin.buffer.fileno(), False)
    portions = arriving_lines(STDIN, 3)
    writing = threading.Timer(0.2, os.write, (pipe, b"one\n"))
    writing.start()
    assert next(portions) == ["one"]
    writing.join()
    os.close(pipe)
    assert list(portions) == []


def test_errors_name_the_line_and_come_after_those_before(pipe: int) -> None:
    os.write(pipe, b"good\n" * 3000 + b"b\xe9d\n")
    os.close(pipe)
    lines = text_lines(STDIN)
    assert [next(lines) for _ in range(3000)] == ["good"] * 3000
    with pytest.raises(DataError, match="standard input, line 3001: not UTF-8"):
        next(lines)


def test_long_lines_are_few_in_a_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(Pieces([b"x" * (1 << 20) + b"\n"] * 20)))
    assert [len(portion) for portion in arriving_lines(STDIN, 100)] == [8, 8, 4]


def test_a_closed_standard_input_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match="standard input is closed: give texts, or --input FILE"):
        next(arriving_lines(STDIN, 1))
