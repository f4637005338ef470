"""The command line as a process: what it loads, how it ends, how it fails."""

import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from throughtime import __version__

Run = Callable[..., Any]
COMMANDS = ("train", "evaluate", "predict", "diagnose", "data", "recipe")
FORBIDDEN = ("torch", "lightning", "torchmetrics", "pyarrow", "sklearn", "scipy", "pandas", "yaml")
# Unbuffered output would hide what happens when the last of it cannot be written.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
# Imports of these fail as they do where they are not installed; at the end the modules that were loaded are listed.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from throughtime.cli.main import main
code = main({arguments!r})
print(" ".join(sys.modules), file=sys.stderr)
sys.exit(code)
"""


def process(*arguments: object, **keywords: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "throughtime", *map(str, arguments)]
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, text=True, check=False, timeout=60, **(settings | keywords)
    )
    return done


def without_training_libraries(*arguments: object) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    program = WITHOUT.format(forbidden=FORBIDDEN, arguments=list(map(str, arguments)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return done, set(done.stderr.splitlines()[-1].split())


def test_help_names_every_command_and_loads_almost_nothing(run: Run) -> None:
    done, modules = without_training_libraries("--help")
    assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        assert re.search(rf"^  {command} +[A-Z]", done.stdout, re.MULTILINE)
    assert not modules & {"numpy", "tokenizers", "rich", "pydantic", *FORBIDDEN}
    assert run().out == run("-h").out == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "command", [("train",), ("evaluate",), ("predict",), ("diagnose",), ("data", "check"), ("recipe", "show")]
)
def test_every_command_has_help_without_training_libraries(command: tuple[str, ...]) -> None:
    done, modules = without_training_libraries(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert " ".join(command) in done.stdout
    assert "numpy" not in modules


def test_help_is_instant() -> None:
    """Processor time, which other work on the machine does not stretch much."""
    before = os.times()
    for _ in range(3):
        process("--help")
    after = os.times()
    spent = (after.children_user - before.children_user + after.children_system - before.children_system) / 3
    assert spent < 0.5


def test_prediction_needs_no_training_library(model_path: Path) -> None:
    done, modules = without_training_libraries("predict", model_path, "a good film")
    assert done.returncode == 0, done.stderr
    assert '"label"' in done.stdout
    assert not modules & set(FORBIDDEN)


def test_prediction_and_evaluation_of_a_table_load_no_torch(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label\ngood,pos\nbad,neg\n")
    for arguments in (
        ("evaluate", model_path, tmp_path / "data.csv"),
        ("predict", model_path, "-i", tmp_path / "data.csv"),
    ):
        done, modules = without_training_libraries(*arguments)
        assert done.returncode == 0, done.stderr
        assert not modules & set(FORBIDDEN)


def test_a_cold_prediction_is_quick(model_path: Path) -> None:
    before = os.times()
    assert process("predict", model_path, "a good film").returncode == 0
    after = os.times()
    assert after.children_user - before.children_user + after.children_system - before.children_system < 1


def test_what_is_not_installed_is_said(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label\ngood,pos\nbad,neg\n")
    program = WITHOUT.format(forbidden=("torch", "pydantic"), arguments=["train", "data.csv", "--out", "model"])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "is not installed, and this needs it: pip install 'throughtime[train]'" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["no.csv"], "no.csv: no such file"),
        (["data.csv", "--test", "no.csv"], "no.csv: no such file"),
        (["data.csv", "--label-column", "class"], "no column 'class'"),
        (["data.csv", "--set", "training.epoch=3"], "training.epoch: there is no such key"),
        (["data.csv", "--recipe", "article-lstm"], "give --vectors FILE"),
        (["data.csv", "--resume", "--force"], "give one of the two"),
        (["data.csv", "--validation", "no.csv"], "no.csv: no such file"),
        (["data.csv", "--vectors", "no.txt", "--recipe", "article-lstm"], "no.txt: there is no such file"),
        (["data.csv", "--config", "no.yaml"], "no.yaml"),
        (["data.csv", "--out", "data.csv"], "it is a file"),
        (["data.csv", "--out", "x" * 300, "--resume"], "cannot write"),
    ],
)
def test_a_mistake_is_told_before_the_training_library_is_loaded(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "data.csv").write_text("text,label\ngood,pos\nbad,neg\n")
    given = ["train", "--out", "model", *arguments]
    program = WITHOUT.format(forbidden=("torch", "lightning"), arguments=given)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 2
    assert complaint in done.stderr.splitlines()[0]
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("command", [("predict", "x", "y"), ("--help",), ("data", "check", "x")])
def test_closed_standard_output_is_said(command: tuple[str, ...]) -> None:
    script = 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "throughtime", *command],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "throughtime: error: standard output is closed: give it somewhere to go (a file, or /dev/null)\n"
    )


def test_with_closed_standard_error_results_are_results_only(model_path: Path, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("text,label\ngood,pos\nbad,neg\n")
    for command in (("predict", model_path, "a good film"), ("diagnose", model_path, tmp_path / "data.csv", "--json")):
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "throughtime", *map(str, command)],
            stdout=subprocess.PIPE,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0
        assert json.loads(done.stdout)


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_no_other_file_gets_the_number_of_a_closed_standard_error(closed: str) -> None:
    program = (
        "import os; from throughtime.cli.main import main; main(['--version'])\n"
        "print(os.path.samestat(os.fstat(2), os.stat(os.devnull)), os.open(os.devnull, os.O_RDONLY) > 2)"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "True True"


def test_version(run: Run) -> None:
    assert run("--version").out == f"throughtime {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["predict"], "Missing argument 'DIR'"),
        (["predict", "x", "--inptu", "y"], "No such option"),
        (["predict", "x", "-bad film"], "before a text that begins with - give --"),
        (["train", "x", "--out"], "requires an argument"),
        (["--nonsense"], "No such option"),
        (["train", "x", "--out", "y", "--seed", "blue"], "--seed"),
    ],
)
def test_a_wrong_command_line_is_one_line(run: Run, arguments: list[str], complaint: str) -> None:
    message = run(*arguments).refusal()
    assert complaint in message
    assert "--help)" in message


def test_a_group_alone_shows_its_help(run: Run) -> None:
    for group in ("data", "recipe"):
        result = run(group)
        assert (result.code, result.err) == (0, "")
        assert "Commands:" in result.out


def test_a_defect_of_ours_is_not_hidden(run: Run, monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("throughtime.runtime.predictor.read_model_directory", broken)
    with pytest.raises(ZeroDivisionError):
        run("predict", model_path, "x")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "throughtime: interrupted\n"),
        (MemoryError(), 2, "throughtime: error: out of memory: close other programs, or give less at once\n"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:132] . DefaultCPUAllocator: can't allocate memory: you tried"),
            2,
            "throughtime: error: out of memory",
        ),
        (
            OSError(28, "No space left on device"),
            2,
            "throughtime: error: cannot write a result: the disk is full: make room",
        ),
        (OSError(28, "No space left", "/x/y"), 2, "throughtime: error: cannot write /x/y: the disk is full"),
    ],
)
def test_other_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch, model_path: Path, raised: BaseException, code: int, said: str
) -> None:
    def end(*_: object) -> None:
        raise raised

    monkeypatch.setattr("throughtime.runtime.predictor.read_model_directory", end)
    result = run("predict", model_path, "x")
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(said)


def test_what_a_message_quotes_sends_no_commands_to_the_terminal(run: Run, model_path: Path) -> None:
    config = model_path / "config.json"
    text = config.read_text()[: -len('0"\n}\n') - 63].replace(
        '"labels"', '"\\u001b[31m\\n\\u202eé\\ud800": 1, "labels"'
    )
    config.write_text(f'{text}{hashlib.sha256(text.encode()).hexdigest()}"\n}}\n')
    message = run("predict", model_path, "x").refusal()
    assert r"config.json has the unknown field \x1b[31m \u202eé\ud800: another" in message
    assert message.isprintable()


@pytest.mark.skipif(os.name != "posix", reason="needs the signals and devices of a POSIX system")
class TestPosix:
    def test_an_interrupt_ends_it_quietly(self, model_path: Path) -> None:
        command = [sys.executable, "-m", "throughtime", "predict", str(model_path), "--input", "-"]
        pipe = subprocess.PIPE

        def interruptible() -> None:
            """A shell starts background jobs with interrupts ignored, and the tests may run in one."""
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, preexec_fn=interruptible
        ) as running:
            try:
                assert running.stdin is not None
                assert running.stdout is not None
                running.stdin.write("good\n" * 5000)
                running.stdin.flush()
                running.stdout.readline()  # it is at work, and waits for more
                running.send_signal(signal.SIGINT)
                _, errors = running.communicate(timeout=30)
            finally:
                running.kill()
        assert running.returncode == 130
        assert errors == "throughtime: interrupted\n"

    def test_a_reader_that_goes_away_ends_it_quietly(self, model_path: Path, tmp_path: Path) -> None:
        (tmp_path / "in.txt").write_text("good film\n" * 5000)
        command = f"'{sys.executable}' -m throughtime predict '{model_path}' -i '{tmp_path / 'in.txt'}' | head -n 1"
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT
        )
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""

    def test_a_full_disk_behind_standard_output(self, model_path: Path) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("needs the device /dev/full, which this system does not have")
        for arguments in (("predict", model_path, "x"), ("--help",)):
            with open("/dev/full", "wb") as full:  # noqa: PTH123 a device
                done = process(*arguments, stdout=full)
            assert done.returncode == 2
            assert re.match(
                "throughtime: error: cannot write (standard output|a result): the disk is full", done.stderr
            )
            assert done.stderr.count("\n") == 1

    def test_a_terminal_without_unicode(self, model_path: Path, tmp_path: Path) -> None:
        (tmp_path / "data.csv").write_text("text,label\ngood,pos\nbad,neg\n")
        done = process("evaluate", model_path, tmp_path / "data.csv", env=ENVIRONMENT | {"PYTHONIOENCODING": "latin-1"})
        assert done.returncode == 0, done.stderr
        assert "mean ?ln p" in done.stdout


def test_the_script_is_installed() -> None:
    assert importlib.util.find_spec("throughtime.cli.main") is not None
    script = Path(sys.executable).with_name("throughtime")
    if not script.exists():
        pytest.skip("needs the package installed with its script, which is not beside this Python")
    assert (
        subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
        .stdout.strip()
        .endswith(__version__)
    )
