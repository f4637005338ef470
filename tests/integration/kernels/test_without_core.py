"""Where the core is not compiled the package works on torch and NumPy, and says so once."""

import subprocess
import sys

_HIDE = "import sys; sys.modules['throughtime.kernels._core'] = None\n"


def _run(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", _HIDE + code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_layers_run_on_torch_and_say_so_once() -> None:
    out = _run("""
import warnings, torch
from throughtime import LSTM, GRU
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    layer = LSTM(3, 4)
    y, _ = layer(torch.randn(5, 2, 3), lengths=[5, 2])
    y.sum().backward()
    GRU(3, 4)(torch.randn(5, 2, 3))
    step = layer.stream(2).step(torch.randn(2, 3))
print(len(caught), caught[0].message)
print(tuple(step.shape))
""")
    first, second = out.splitlines()
    assert first.startswith("1 the native core is not there")
    assert "install throughtime where a C++ compiler is" in first
    assert second == "(2, 4)"


def test_asking_for_it_is_refused() -> None:
    out = _run("""
import torch
from throughtime import LSTM, ThroughtimeError
try:
    LSTM(3, 4, backend="native")(torch.randn(5, 2, 3))
except ThroughtimeError as error:
    print(error)
""")
    assert out.startswith("backend='native' cannot run this: the native core is not there")


def test_prediction_runs_on_numpy() -> None:
    out = _run("""
import numpy as np
from throughtime.runtime.recurrent import RecurrentStack
from throughtime.spec.cells import LayerOptions, parameter_shapes
options = LayerOptions("GRU", 3, (4,))
parameters = {name: np.ones(shape, np.float32) for name, shape in parameter_shapes(options).items()}
print(RecurrentStack(options, parameters).forward(np.ones((5, 3), np.float32), np.array([2, 3])).output.shape)
assert "torch" not in sys.modules
""")
    assert out.strip() == "(5, 4)"


def test_threads_and_memory_need_no_core() -> None:
    out = _run("""
from throughtime import kernels, nn
nn.release_memory()
print(kernels.threads(), kernels.memory_use())
""")
    assert out.strip() == "1 MemoryUse(used=0, kept=0, most_used=0, mappings=0)"
