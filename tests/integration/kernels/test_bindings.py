"""What the Python module keeps of its arguments, and what it refuses, where fuzzing does not come."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from throughtime import kernels
from throughtime.kernels import _core
from throughtime.spec.errors import OptionError

LSTM = 2


def test_a_plan_that_ran_out_of_memory_works_when_there_is_some(answer: Callable[..., str]) -> None:
    text = """
import resource
from throughtime.kernels import _core
steps = 2 ** 22
plan = _core.BatchPlan(steps, 1, None, True)
ids, out = np.arange(steps, dtype=np.int32), np.zeros(steps, np.int32)
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
unlimited = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + 2 ** 24, unlimited[1]))
try:
    plan.by_token(ids, out)
except MemoryError:
    print('full', end=' ')
resource.setrlimit(resource.RLIMIT_AS, unlimited)
plan.by_token(ids, out)
print(bool((out == ids).all()))
"""
    assert answer(text) == "full True"


@pytest.mark.parametrize("options", [{"recurrent_mask": True}, {"zoneout_h": 0.1, "zoneout_masks": True}])
def test_a_stream_refuses_layers_that_need_masks(options: dict[str, Any]) -> None:
    layer = _core.LayerFloat32(LSTM, 0, True, 3, 4, 1, kernels.isa(), **options)
    with pytest.raises(OptionError, match="a stream has no masks, but layer 0 needs them"):
        _core.StreamFloat32([layer], [np.zeros(layer.packed_forward, np.float32)], 1)
