"""Contenders in other processes: libraries with environments of their own, which `make bench-contenders` makes.

A process stays for the whole run. It is told of a case, gives its result, is checked, and then takes its own times when
asked, in turn with all others. A library whose environment is not there is left out, and named.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from benchmarks.problem import Problem

LONGEST_ANSWER: Final = 600.0
"""Seconds; compiling is the longest part: what takes longer to compile is left out."""

_ROOT: Final = Path(__file__).parent.parent


class ContenderError(Exception):
    """A contender's process failed; says why."""


@dataclass(frozen=True)
class Library:
    """A contender. module: what its process runs; environment: a name in benchmarks/environments, None for our own.

    does: the cases that it takes part in.
    """

    name: str
    module: str
    environment: str | None
    trains: bool = True
    does: Literal["layers", "variants"] = "layers"

    @property
    def python(self) -> Path:
        if self.environment is None:
            return Path(sys.executable)
        return _ROOT / "build" / f"bench-env-{self.environment}" / "bin" / "python"


COMPILED: Final = "torch compiled"
COMPILED_LOOP: Final = "torch loop compiled"
LIBRARIES: Final = (
    Library(COMPILED, "benchmarks.workers.compiled_layers", None),
    Library("Keras", "benchmarks.workers.keras_layers", "keras"),
    Library("JAX", "benchmarks.workers.jax_layers", "jax"),
    Library("ONNX Runtime", "benchmarks.workers.onnx_layers", "onnxruntime", trains=False),
    Library(COMPILED_LOOP, "benchmarks.workers.compiled_loops", None, does="variants"),
)


class Worker:
    """A running process of a library."""

    def __init__(self, library: Library, threads: int, folder: Path, stack: ExitStack) -> None:
        self.library = library
        self._folder = folder
        self._errors = folder / f"{library.module}.txt"
        count = str(threads)
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax", "PYTHONPATH": str(_ROOT)}
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
        environment["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [str(library.python), "-m", library.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=_ROOT,
                env=environment,
                text=True,
            )
        stack.callback(self.close)
        self.versions: dict[str, str] = self._ask({"do": "versions"})

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        if not self.ended:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written to a process that ended
                    pipe.close()

    def prepare(self, problem: Problem[Any]) -> "External":
        """Makes the case ready.

        Raises:
            ContenderError: the process failed.
        """
        given, made = self._folder / "problem.npz", self._folder / "result.npz"
        problem.save(given)
        self._ask({"do": "case", "case": problem.facts(), "problem": str(given), "result": str(made)})
        with np.load(made) as arrays:
            return External(self, {name: torch.from_numpy(arrays[name]) for name in arrays.files})

    def seconds(self, times: int) -> float:
        return float(self._ask({"do": "time", "times": times})["seconds"])

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except OSError:
            raise ContenderError(f"its process ended: {self._last_words()}") from None
        # An answer is one line, so nothing of it can wait in a buffer where `select` does not see it.
        if not select.select([process.stdout], [], [], LONGEST_ANSWER)[0]:
            self.close()
            raise ContenderError(f"no answer in {LONGEST_ANSWER:.0f} seconds")
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise ContenderError(f"its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def _last_words(self) -> str:
        lines = self._errors.read_text(encoding="utf-8", errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "without a word")


class External:
    """A case in a worker's hands. It is `measure.Timed`."""

    def __init__(self, worker: Worker, result: dict[str, Tensor]) -> None:
        self._worker = worker
        self._result = result

    def seconds(self, times: int) -> float:
        return self._worker.seconds(times)

    def result(self) -> dict[str, Tensor]:
        return self._result


class Workers:
    """The processes of all libraries that are there, each started when it is needed."""

    def __init__(self, libraries: tuple[Library, ...], threads: int, folder: Path, stack: ExitStack) -> None:
        self.present = [library for library in libraries if library.python.exists()]
        self.absent = [library.name for library in libraries if not library.python.exists()]
        self._running: dict[str, Worker] = {}
        self._threads = threads
        self._folder = folder
        self._stack = stack

    def worker(self, library: Library) -> Worker:
        """Raises ContenderError: the process does not start."""
        running = self._running.get(library.name)
        if running is None or running.ended:
            self._running[library.name] = Worker(library, self._threads, self._folder, self._stack)
        return self._running[library.name]

    def versions(self) -> dict[str, dict[str, str]]:
        """Of the libraries that have run."""
        return {name: worker.versions for name, worker in self._running.items()}


@contextmanager
def workers(libraries: tuple[Library, ...] = LIBRARIES) -> Iterator[Workers]:
    """Processes with as many threads as torch has here; all ended at the end."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        yield Workers(libraries, torch.get_num_threads(), Path(folder), stack)
