"""Fixtures of the command line's tests."""

import csv
import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from throughtime.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def refusal_after_progress(self) -> str:
        """The same where lines of progress (what is read, the model, its epochs) may stand before the message."""
        assert (self.code, self.out) == (2, ""), self
        *progress, message = self.err.splitlines()
        assert self.err.endswith("\n")
        assert message.startswith("throughtime: error: "), self.err
        assert not any("error" in line or "Traceback" in line for line in progress), self.err
        return message.removeprefix("throughtime: error: ")

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


SMALL = [
    *("--set", "encoder.embedding_init=random"),
    *("--set", "encoder.embedding_size=6"),
    *("--set", "encoder.hidden_size=[4]"),
    *("--set", "preprocessing.min_count=1"),
    *("--set", "training.min_steps=null"),
    *("--set", "training.epochs=2"),
    *("--set", "training.batch_size=8"),
]
ROWS = [(f"film {i} was {'good' if i % 2 else 'bad'} indeed", "pos" if i % 2 else "neg") for i in range(40)]


def write_rows(path: Path, rows: Iterable[tuple[str, str]] = ROWS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where corpora are cached: a folder a test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("THROUGHTIME_CACHE", str(folder))
    return folder


@pytest.fixture
def rows() -> list[tuple[str, str]]:
    """40 rows: text, label (pos, neg)."""
    return list(ROWS)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Those rows as a CSV file."""
    return write_rows(tmp_path / "data.csv")


@pytest.fixture
def write() -> Callable[..., Path]:
    """Writes rows of (text, label) as a CSV file: write(path, rows)."""
    return write_rows


@pytest.fixture
def train(run: Callable[..., Result], tmp_path: Path) -> Callable[..., Result]:
    """Trains a tiny model into the folder "model" of the test's own: train(DATA, "--option", …, out=…)."""

    def command(*arguments: object, out: Path | None = None, recipe: bool = False) -> Result:
        """`recipe`: the default recipe as it is, without the settings that make it tiny."""
        return run(
            "train", arguments[0], "--out", out or tmp_path / "model", *([] if recipe else SMALL), *arguments[1:]
        )

    return command


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory that `train` wrote: classes neg and pos."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_rows(folder / "data.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("THROUGHTIME_CACHE", str(folder / "cache"))
        assert main(["train", str(data), "--out", str(folder / "model"), *SMALL]) == 0
    return folder / "model"
