"""Fixtures of the command line's tests."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from throughtime.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def refusal(self) -> str:
        """The message of a refusal: exit code 2, one line on stderr, nothing on stdout."""
        assert (self.code, self.out) == (2, ""), self
        assert self.err.startswith("throughtime: error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("throughtime: error: ").rstrip("\n")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Result]:
    """Runs a command line in this process: run("predict", DIR, "text", stdin=b"…")."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # the commands set them, and would leave them to the next test

    def command(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Result(code, captured.out.decode(), captured.err.decode())

    return command
