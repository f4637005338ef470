"""The package's own names: imported on first use, with a word on what is missing where one cannot be."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import throughtime

WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import throughtime
try:
    WHAT
except ModuleNotFoundError as error:
    print(error.name, error, sep="|")
"""


def test_names_come_on_first_use() -> None:
    code = "import sys, throughtime; assert 'torch' not in sys.modules; print(throughtime.nn.LSTM, throughtime.flow)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith("<class 'throughtime.nn.layers.LSTM'> <module 'throughtime.flow'")
    for name in throughtime.__all__:
        assert getattr(throughtime, name) is not None
    with pytest.raises(AttributeError, match="module 'throughtime' has no attribute 'kernel'"):
        throughtime.kernel  # noqa: B018


@pytest.mark.parametrize("what", ["from throughtime import LSTM", "throughtime.nn", "throughtime.flow"])
def test_what_is_missing_is_said(what: str) -> None:
    program = WITHOUT_TORCH.replace("WHAT", what)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    name = what.replace(" import ", ".").split()[-1]
    needs = f"{name} needs torch, which is not installed: pip install 'throughtime[train]'"
    assert done.stdout.strip() == f"torch|{needs}"


def test_the_extra_brings_what_it_is_said_to_bring() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {requirement.split(">=")[0] for requirement in project["optional-dependencies"]["train"]}
    assert {"yaml" if name == "pyyaml" else name for name in names} == throughtime.OF_TRAIN
