"""MinLSTM where the sigmoids of its gates are too small for the dtype."""

from collections.abc import Callable
from decimal import Decimal
from itertools import product
from typing import Any

import numpy as np

from throughtime.spec.tolerances import OUTPUT

Make = Callable[..., Any]
Check = Callable[..., None]


def test_min_lstm_where_both_sigmoids_underflow(problem: Make, close: Check) -> None:
    """One unit for each pair of the gates' sums, against the formulas with an exponent of any size."""
    pairs = list(product([-1000.0, -800.0, -799.0, -30.0, 0.0, 2.0, 800.0], repeat=2))
    given = problem(lengths=[1], cell="MinLSTM", hidden_size=(len(pairs),))
    given.parameters["weight_ih_l0"][...] = 0
    given.parameters["bias_ih_l0"][: 2 * len(pairs)] = np.transpose(pairs).ravel()
    values, gradients = given.results(), given.gradients()
    f, i = (np.array([1 / (1 + Decimal(-a).exp()) for a in gate]) for gate in zip(*pairs, strict=True))
    forget, write = (np.array(share, dtype=float) for share in (f / (f + i), i / (f + i)))
    h_0, n = given.h_0[0][0, 0], given.parameters["bias_ih_l0"][2 * len(pairs) :]
    d_h = given.u_output[0, 0] + given.u_h_n[0][0, 0]
    d_f = d_h * (h_0 - n) * forget * write
    shut_f, shut_i = (np.array(1 - gate, dtype=float) for gate in (f, i))
    found = {"h": values["output"][0, 0], "d_bias": gradients["bias_ih_l0"], "d_h_0": gradients["h_0[0]"][0, 0]}
    wanted = {
        "h": forget * h_0 + write * n,
        "d_bias": np.concatenate([d_f * shut_f, -d_f * shut_i, d_h * write]),
        "d_h_0": d_h * forget,
    }
    close(found, wanted, OUTPUT["float64"])
