"""Arguments spoilt at random, and others that mean the same as those given."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.integration.kernels.fuzz.call import CANARY

OUTPUTS = {"packed_out", "output", "h_n", "c_n", "saved_out", "d_gates", "d_input", "d_h_0", "d_c_0", "d_weights",
           "projected_out", "d_x", "d_weight_ih", "d_projected_out", "out", "y", "state_out", "maximum_out",
           "at_out", "mean_out", "d_values_out"}  # fmt: skip
ODD_VALUES: list[Any] = [None, 0, -1, 3, 2**31 - 1, 2**40, 1.5, "text", b"", [], [None], [[]], object(), (), {}, True]


def spoil_array(data: st.DataObject, name: str, a: Any) -> tuple[Any, bool, str]:
    """Something else in place of `a`; whether the call must then raise; and what was done."""
    kinds = [
        "dtype",
        "axis",
        "fewer axes",
        "more axes",
        "odd",
        "values",
        "last axis",
        "transposed",
        "read-only",
        "empty",
    ]
    kind = data.draw(st.sampled_from(kinds))
    if kind == "dtype":
        wrong = data.draw(
            st.sampled_from(["float16", "int32", "int64", "complex64", "bool", "object", ">f4", "U3", "M8[s]"])
        )
        other = {"float32": "float64", "float64": "float32"}.get(str(a.dtype), "float32")
        wrong = data.draw(st.sampled_from([wrong, other]))
        return (a, False, "nothing") if a.dtype == np.dtype(wrong) else (np.zeros(a.shape, wrong), True, kind)
    if kind == "axis" and a.ndim:
        shape = list(a.shape)
        axis = data.draw(st.integers(0, a.ndim - 1))
        shape[axis] = data.draw(st.sampled_from([0, shape[axis] + 1, max(0, shape[axis] - 1), shape[axis] * 2 + 1]))
        return np.zeros(shape, a.dtype), False if tuple(shape) == a.shape else name not in ("x", "out", "projected",
            "ids", "d_projected", "projected_out", "d_projected_out") or axis > 0, kind  # fmt: skip
    if kind == "empty":
        return np.zeros((0,) * data.draw(st.integers(0, 4)), a.dtype), a.size > 0 and name not in ("x", "out"), kind
    if kind == "fewer axes" and a.ndim > 1:
        return a.reshape(-1), True, kind
    if kind == "more axes":
        return a[None], name not in STEPS | {"masks"}, kind  # (1, tokens, features) may be what padded steps are
    if kind == "values" and a.dtype.kind == "f":
        poison = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e-44, 3e38]))
        a.reshape(-1)[:: data.draw(st.integers(1, 3))] = poison
        return a, False, kind
    if kind == "values" and a.dtype.kind == "i":
        a[data.draw(st.integers(0, len(a) - 1))] = data.draw(st.sampled_from([-1, 5, 2**31 - 1, -(2**31)]))
        return a, name == "ids", kind
    if kind == "last axis" and a.ndim and a.shape[-1] > 1:
        return np.repeat(a, 2, axis=-1)[..., :: data.draw(st.sampled_from([2, -2]))], True, kind
    if kind == "transposed":
        return a.T, False, kind
    if kind == "read-only":
        a = a.copy()
        a.setflags(write=False)
        return a, name in OUTPUTS, kind
    return data.draw(st.sampled_from(ODD_VALUES)), False, "odd"


def spoil(data: st.DataObject, name: str, value: Any) -> tuple[Any, bool, str]:
    if isinstance(value, np.ndarray):
        return spoil_array(data, name, value)
    if isinstance(value, list) and value:
        kind = data.draw(st.sampled_from(["inside", "fewer", "more", "odd"]))
        if kind == "inside":
            place = data.draw(st.integers(0, len(value) - 1))
            inside, wrong, what = spoil(data, name, value[place])
            return [*value[:place], inside, *value[place + 1 :]], wrong, f"{what} inside"
        if kind == "fewer":
            return value[:-1], len(value) > 1 or name not in ("saved_out", "saved", "projected", "masks"), kind
        if kind == "more":
            return [*value, value[0]], True, kind
    return data.draw(st.sampled_from(ODD_VALUES)), False, "odd"


# Of these a caller may pass any layout of the first axes.
STEPS = {"input", "output", "output_in", "d_output", "d_input"}
STRIDED = STEPS | {"x"}


def relaid(data: st.DataObject, name: str, value: Any) -> Any:
    """The same numbers, with other strides where they are allowed."""
    if name not in STRIDED or not isinstance(value, np.ndarray) or value.ndim < (3 if name in STEPS else 2):
        return value
    kind = data.draw(st.sampled_from(["same", "batch first", "wider", "backwards"]))
    if kind == "batch first" and value.ndim == 3:
        return np.ascontiguousarray(value.transpose(1, 0, 2)).transpose(1, 0, 2)
    if kind == "wider":
        wide = np.full((*value.shape[:-1], value.shape[-1] + 5), CANARY, value.dtype)
        wide[..., : value.shape[-1]] = value
        return wide[..., : value.shape[-1]]
    if kind == "backwards":
        return np.ascontiguousarray(value[::-1])[::-1]
    return value


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    return a is b or bool(np.array_equal(a, b, equal_nan=True))
