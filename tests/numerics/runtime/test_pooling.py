"""Pooling for prediction: the core and NumPy give what the definition says."""

import numpy as np
import pytest

from throughtime import kernels
from throughtime.runtime.pooling import pool
from throughtime.spec.tolerances import OUTPUT

LENGTHS = np.array([1, 5, 300, 2, 71])


@pytest.mark.parametrize("core", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("maximum", "mean"), [(True, False), (False, True), (True, True)])
def test_definition(core: bool, dtype: str, maximum: bool, mean: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kernels.available()
    monkeypatch.setattr(kernels, "available", lambda: core)
    wide = np.random.default_rng(0).uniform(-1, 1, (int(LENGTHS.sum()), 40)).astype(dtype)
    values = wide[:, ::2]
    texts = np.split(values.astype("float64"), np.cumsum(LENGTHS)[:-1])
    expected = np.stack([np.concatenate([t.max(axis=0)] * maximum + [t.mean(axis=0)] * mean) for t in texts])
    got = pool(values, LENGTHS, maximum=maximum, mean=mean)
    np.testing.assert_allclose(got, expected, OUTPUT[dtype].rtol, OUTPUT[dtype].atol)
