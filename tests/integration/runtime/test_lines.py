"""What prediction gives the core begins with a cache line: in the middle of one, it took 1.18 times as long."""

from typing import Any

import numpy as np
import pytest

from throughtime import kernels
from throughtime.kernels import NativeLayer
from throughtime.runtime.recurrent import RecurrentStack
from throughtime.spec.cells import LayerOptions, parameter_shapes

pytestmark = pytest.mark.skipif(not kernels.available(), reason="without the core, there is nothing to give it")


class Watched:
    """A layer that notes where the arrays of `forward` begin."""

    def __init__(self, layer: NativeLayer, begins: list[int]) -> None:
        self._layer, self._begins = layer, begins

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    def forward(self, *args: Any) -> None:
        _plan, _x, packed, _h_0, _c_0, y, _h_n, _c_n, _masks, projected, _ids, _threads = args
        self._begins += [array.ctypes.data for array in (*packed, y, *projected)]
        self._layer.forward(*args)


@pytest.mark.parametrize("table", [True, False])
def test_everything_large(table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    begins: list[int] = []
    layer_of = kernels.layer
    monkeypatch.setattr(kernels, "layer", lambda *args: Watched(layer_of(*args), begins))
    if not table:
        monkeypatch.setattr("throughtime.runtime.recurrent_native._LARGEST_TABLE", 0)
    options = LayerOptions(cell="LSTM", input_size=5, hidden_size=(17, 17), bidirectional=True)
    rng = np.random.default_rng(0)
    parameters = {
        name: rng.standard_normal(shape).astype(np.float32) for name, shape in parameter_shapes(options).items()
    }
    stack = RecurrentStack(options, parameters)
    x = rng.standard_normal((30, 5)).astype(np.float32)
    for length in range(1, 40):
        stack.forward(x, np.array([length]), rng.integers(0, 30, length))
    assert len(begins) == 39 * (2 * (2 + 1) + 2)
    assert all(begin % 64 == 0 for begin in begins)
