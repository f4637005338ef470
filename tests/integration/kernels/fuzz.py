"""Calls of one entry of the core with random, and randomly spoilt, arguments. Run by test_fuzz.py: fuzz.py ENTRY FILE.

FILE holds the call that is under way, for the case that the process does not survive it. Every array lies between
canaries, so a write beside it is seen. A call that was spoilt so that it cannot be right must raise.
"""

import faulthandler
import sys
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from throughtime.kernels import _core
from throughtime.spec.cells import CLASSIC, GATES, KINDS, NONLINEARITIES, LayerOptions, direction_shapes
from throughtime.spec.errors import OptionError, ShapeError

CANARY, BESIDE = 7.25, 64
OUTPUTS = {"packed_out", "output", "h_n", "c_n", "saved_out", "d_gates", "d_input", "d_h_0", "d_c_0", "d_weights",
           "projected_out", "d_x", "d_weight_ih", "d_projected_out", "out", "y", "state_out", "maximum_out",
           "at_out", "mean_out", "d_values_out"}  # fmt: skip
SIZES = st.sampled_from([1, 2, 3, 15, 16, 17, 33])


@st.composite
def layer_options(draw: st.DrawFn) -> LayerOptions:
    cell = draw(st.sampled_from(list(GATES)))
    share = st.sampled_from([0.0, 0.5])
    given: dict[str, Any] = {"cell": cell, "zoneout": (draw(share), draw(share) if cell == "LSTM" else 0.0)}
    if cell in ("RNN", "IndRNN"):
        given["nonlinearity"] = draw(st.sampled_from(NONLINEARITIES))
    if cell in CLASSIC:
        given |= {"layer_norm": draw(st.booleans()), "recurrent_dropout": draw(share)}
    if cell == "GRU" and draw(st.booleans()):
        given = {"cell": cell, "reset_after": False}
    size = draw(SIZES)
    if cell == "LSTM":
        given |= {"peephole": draw(st.booleans()), "coupled_gates": draw(st.booleans())}
        given["proj_size"] = draw(st.integers(0, size - 1))
    return LayerOptions(input_size=draw(SIZES), hidden_size=(size,), bidirectional=draw(st.booleans()), **given)


class Call:
    """Arguments of one call, valid ones; name → array, list (of lists) of arrays, or number."""

    def __init__(self, data: st.DataObject) -> None:
        draw = data.draw
        self.dtype = draw(st.sampled_from(["float32", "float64"]))
        self.options = draw(layer_options())
        self.cell, self.directions = self.options.cell, self.options.num_directions
        self.I, self.H, self.P = self.options.input_size, self.options.hidden_size[0], self.options.output_features(0)
        self.lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=14))
        self.T, self.B = max(self.lengths), len(self.lengths)
        self.kind = _core.LayerFloat32 if self.dtype == "float32" else _core.LayerFloat64
        isa = draw(st.sampled_from(_core.instruction_sets()))
        self.masked = draw(st.booleans())
        given = self.options
        self.layer = self.kind(
            list(GATES).index(given.cell), NONLINEARITIES.index(given.nonlinearity), given.reset_after, self.I, self.H,
            self.directions, isa, given.layer_norm, *given.zoneout, self.masked,
            self.masked and given.recurrent_dropout > 0, given.peephole, given.coupled_gates, given.proj_size,
        )  # fmt: skip
        by_step = draw(st.booleans())
        if by_step:
            self.lengths.sort(reverse=True)
        self.plan = _core.BatchPlan(self.T, self.B, self.lengths, by_step)
        self.padded = draw(st.booleans())
        self.threads = draw(st.integers(1, 3))
        self.rng = np.random.default_rng(draw(st.integers(0, 99)))
        self.buffers: list[Any] = []

    def array(self, *shape: int) -> Any:
        count = int(np.prod(shape))
        buffer = np.full(count + 2 * BESIDE, CANARY, self.dtype)
        buffer[BESIDE : BESIDE + count] = self.rng.uniform(-1, 1, count)
        self.buffers.append(buffer)
        return buffer[BESIDE : BESIDE + count].reshape(shape)

    def each(self, *shape: int) -> list[Any]:
        return [self.array(*shape) for _ in range(self.directions)]

    def check_canaries(self) -> None:
        for buffer in self.buffers:
            assert np.all(buffer[:BESIDE] == CANARY), "written before an array"
            assert np.all(buffer[-BESIDE:] == CANARY), "written behind an array"

    def states(self, name: str) -> dict[str, Any]:
        return {name: self.array(self.directions, self.B, self.H if "c" in name else self.P)}

    def parameters(self) -> list[Any]:
        shapes = direction_shapes(self.options, 0)
        return [self.array(*shapes[kind]) if kind in shapes else None for kind in KINDS]

    def masks(self) -> list[Any]:
        def zoneout(share: float, size: int) -> Any:
            shape = (self.T, self.B, size) if self.padded else (self.plan.tokens, size)
            return self.rng.integers(0, 2, shape).astype(np.uint8) if share and self.masked else None

        of_h, of_c = self.options.zoneout
        recurrent = self.masked and self.options.recurrent_dropout
        return [
            [zoneout(of_h, self.P), zoneout(of_c, self.H), self.array(self.B, self.P) if recurrent else None]
            for _ in range(self.directions)
        ]

    def arguments(self, entry: str, data: st.DataObject) -> dict[str, Any]:
        layer, I, H, T, B = self.layer, self.I, self.H, self.T, self.B  # noqa: E741
        rows, tokens, G = data.draw(st.integers(1, 5)), self.plan.tokens, len(self.options.gates)
        ids = self.rng.integers(0, rows, tokens).astype(np.int32)
        steps = (T, B) if self.padded else (tokens,)
        y = (*steps, self.directions * self.P)
        threads = {"threads": self.threads}
        random = threads | {"masks": self.masks()}
        if entry == "pack":
            weights = {"weights": self.parameters()}
            return {**weights, "backward": False, "packed_out": self.array(layer.packed_forward)}
        if entry == "forward":
            by_ids = data.draw(st.booleans())
            x = {"input": None if by_ids else self.array(*steps, I), "packed": self.each(layer.packed_forward)}
            after = {**self.states("h_n"), **self.states("c_n")}
            saved = {"saved_out": self.each(tokens, layer.saved_width)}
            table = {"projected": self.each(rows, layer.input_width) if by_ids else [], "ids": ids if by_ids else None}
            before = {**self.states("h_0"), **self.states("c_0")}
            return {"plan": self.plan, **x, **before, "output": self.array(*y), **after, **saved, **table, **random}
        if entry == "backward":
            x = {"input": self.array(*steps, I), "packed": self.each(layer.packed_backward)}
            before = {**self.states("h_0"), **self.states("c_0"), "output_in": self.array(*y)}
            before["saved"] = self.each(tokens, layer.saved_width) if layer.saved_width else []
            up = {"d_output": self.array(*y), **self.states("d_h_n"), **self.states("d_c_n")}
            out = {"d_gates": self.each(tokens, layer.gates_width), "d_input": self.array(*steps, I)}
            out |= self.states("d_h_0") | self.states("d_c_0")
            weights = {"d_weights": [self.parameters() for _ in range(self.directions)]}
            return {"plan": self.plan, **x, **before, **up, **out, **weights, **random}
        if entry == "project":
            x = {"packed": self.array(layer.packed_forward), "x": self.array(rows, I)}
            return {**x, "projected_out": self.array(rows, layer.input_width), **threads}
        if entry == "project_backward":
            x = {"packed": self.array(layer.packed_backward), "x": self.array(rows, I)}
            x["d_projected"] = self.array(rows, layer.input_width)
            return {**x, "d_x": self.array(rows, I), "d_weight_ih": self.array(G * H, I), **threads}
        if entry == "scatter":
            d_gates = {"plan": self.plan, "d_gates_in": self.array(tokens, layer.gates_width), "ids": ids}
            return {**d_gates, "d_projected_out": self.array(rows, layer.input_width), **threads}
        count = data.draw(st.integers(0, 40))
        function = data.draw(st.integers(0, 2))
        return {"function": function, "x": self.array(count), "out": self.array(count)}


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


def entry_of_layer(entry: str, note: Path) -> Any:
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        call = Call(data)
        arguments = call.arguments(entry, data)
        method = getattr(call.layer, entry)
        laid = {name: relaid(data, name, value) for name, value in arguments.items()}
        note.write_text(
            f"{entry} of cell {call.cell}, {call.dtype}, lengths {call.lengths}, {call.I} -> {call.H}, valid"
        )
        method(*arguments.values())
        method(*laid.values())
        for name in OUTPUTS & arguments.keys():
            assert same(arguments[name], laid[name]), f"strides changed {name}"
        must_raise, done = False, []
        for name in data.draw(st.lists(st.sampled_from(list(arguments)), min_size=1, max_size=3, unique=True)):
            arguments[name], wrong, what = spoil(data, name, arguments[name])
            must_raise |= wrong
            done.append(f"{name}: {what}")
        note.write_text(
            f"{entry} of cell {call.cell}, {call.dtype}, lengths {call.lengths}, {call.I} -> {call.H}, {done}"
        )
        try:
            method(*arguments.values())
        except (ShapeError, OptionError, TypeError) as error:
            assert str(error)
        else:
            assert not must_raise, f"{entry} took {done}"
        call.check_canaries()

    return run


WHOLE = st.one_of(st.integers(-3, 12), st.sampled_from([2**28 + 1, 2**31, 2**62, 2**63 - 1, 2**63, -(2**63), 2**200]))


def plans(note: Path) -> Any:
    lengths = st.one_of(
        st.none(), st.lists(st.one_of(st.integers(-2, 14), WHOLE), max_size=12), st.sampled_from(ODD_VALUES)
    )

    @given(WHOLE, WHOLE, lengths, st.booleans())
    def run(seq_len: int, batch: int, lengths: Any, by_step: bool) -> None:
        note.write_text(f"BatchPlan({seq_len}, {batch}, {lengths}, {by_step})")
        real = [seq_len] * batch if lengths is None and batch < 99 else lengths
        try:
            plan = _core.BatchPlan(seq_len, batch, lengths, by_step)
        except (ShapeError, TypeError):
            right = isinstance(real, list) and len(real) == batch and batch > 0 and 1 <= seq_len < 99
            right = right and all(isinstance(n, int) and 1 <= n <= seq_len for n in real)
            assert not (right and (not by_step or real == sorted(real, reverse=True)))
        else:
            assert plan.tokens == sum(real)
            if plan.tokens > 2**20:
                return
            ids, out = np.arange(plan.tokens, dtype=np.int32), np.zeros(plan.tokens, np.int32)
            plan.by_token(ids, out)
            assert np.array_equal(np.sort(out), ids)
            for wrong in (ids[:-1], ids.astype(np.int64), ids[None], None):
                for arguments in ((wrong, out), (ids, wrong)):
                    try:
                        plan.by_token(*arguments)
                    except (ShapeError, OptionError, TypeError) as error:
                        assert str(error)
                    else:
                        raise AssertionError(f"by_token took {arguments}")

    return run


def layers(note: Path) -> Any:
    names = st.one_of(st.none(), st.sampled_from(_core.instruction_sets()), st.text(max_size=9))

    flags = (st.booleans(), st.floats(), st.floats(), st.booleans(), st.booleans(), st.booleans(), st.booleans(), WHOLE)

    @given(st.tuples(WHOLE, WHOLE, st.booleans(), WHOLE, WHOLE, WHOLE, names, *flags), st.booleans())
    def run(arguments: Any, single: bool) -> None:
        note.write_text(f"Layer{arguments}")
        kind = _core.LayerFloat32 if single else _core.LayerFloat64
        try:
            layer = kind(*arguments)
        except (OptionError, TypeError):
            return
        assert layer.packed_forward > 0

    return run


def pooling(note: Path) -> Any:
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        call = Call(data)
        kind, places = {"float32": (_core.PoolingFloat32, np.int32), "float64": (_core.PoolingFloat64, np.int64)}[
            call.dtype
        ]
        pool, shape = kind(data.draw(st.sampled_from(_core.instruction_sets()))), (call.B, call.H)
        at = np.zeros(shape, places)
        forward: dict[str, Any] = {"values": call.array(call.plan.tokens, call.H), "lengths": call.lengths}
        forward |= {"maximum_out": call.array(*shape), "at_out": at, "mean_out": call.array(*shape), "threads": 2}
        pool.forward(*forward.values())
        backward: dict[str, Any] = {"lengths": call.lengths, "d_maximum": call.array(*shape), "at": at.copy()}
        backward |= {"d_mean": call.array(*shape), "d_values_out": call.array(call.plan.tokens, call.H), "threads": 2}
        pool.backward(*backward.values())
        for method, arguments in ((pool.forward, forward), (pool.backward, backward)):
            names = data.draw(st.lists(st.sampled_from(list(arguments)), min_size=1, max_size=2, unique=True))
            must_raise, done = False, []
            for name in names:
                arguments[name], wrong, what = spoil(data, name, arguments[name])
                must_raise |= wrong and what not in ("fewer", "more") and not what.endswith("inside")
                done.append(f"{name}: {what}")
            note.write_text(f"{method} of {call.dtype}, lengths {call.lengths}, {call.H} features, {done}")
            try:
                method(*arguments.values())
            except (ShapeError, OptionError, TypeError) as error:
                assert str(error)
            else:
                assert not must_raise, f"pooling took {done}"
            call.check_canaries()

    return run


def streams(note: Path) -> Any:
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        call = Call(data)
        kind = _core.StreamFloat32 if call.dtype == "float32" else _core.StreamFloat64
        size = call.layer.packed_forward
        given: dict[str, Any] = {"layers": [call.layer], "packed": [call.array(size)], "batch": call.B}
        names = data.draw(st.lists(st.sampled_from(list(given)), max_size=2, unique=True))
        for name in names:
            given[name] = spoil(data, name, given[name])[0]
        spoilt = [repr(given[name])[:200] for name in names]
        note.write_text(f"Stream of {call.directions} directions, {names}: {spoilt}")
        step = {"x": call.array(call.B, call.I), "y": call.array(call.B, call.H), "threads": call.threads}
        state = {"level": 0, "cell": data.draw(st.booleans()), "state_out": call.array(call.B, call.H)}
        try:
            stream = kind(*given.values())
            stream.step(*step.values())
            for method, arguments in ((stream.step, step), (stream.read, state), (stream.write, state)):
                name = data.draw(st.sampled_from(list(arguments)))
                value, wrong, what = spoil(data, name, arguments[name])
                note.write_text(f"{method} with {name}: {what}, batch {call.B}, {call.I} -> {call.H}")
                method(*(arguments | {name: value}).values())
                assert not (wrong and name != "state_out"), f"{method} took {name}: {what}"
        except (ShapeError, OptionError, TypeError) as error:
            assert str(error)
        call.check_canaries()

    return run


def booleans(note: Path) -> Any:
    shapes = st.one_of(st.lists(st.integers(0, 9), max_size=4), st.just([300, 301]))  # the last for threads
    dtypes = st.sampled_from(["uint8", "uint8", "bool", "int8", "float32"])

    @given(WHOLE, WHOLE, shapes, dtypes, st.booleans(), WHOLE)
    def run(start: int, level: int, shape: list[int], dtype: str, turned: bool, threads: int) -> None:
        count = int(np.prod(shape))
        buffer = np.full(count + 2 * BESIDE, 7, dtype)
        out = buffer[BESIDE : BESIDE + count].reshape(shape)
        out = out.T if turned else out
        note.write_text(f"draw_booleans({start}, {level}, {dtype} {out.shape} {out.strides}, {threads})")
        right = dtype == "uint8" and out.flags.c_contiguous and 0 <= start < 2**64 and -(2**15) <= level < 2**15
        try:
            _core.draw_booleans(start, level, out, threads)
        except (OptionError, TypeError) as error:
            assert str(error)
            assert not (right and 1 <= threads <= 12)
        else:
            assert right and threads > 0
            assert np.all(out <= 1)
        beside = np.concatenate([buffer[:BESIDE], buffer[BESIDE + count :]])
        assert np.all(beside == np.array(7).astype(dtype))

    return run


def main(entry: str, note: Path, examples: int) -> None:
    faulthandler.enable()
    whole = {"BatchPlan": plans, "Layer": layers, "Stream": streams, "Pooling": pooling, "draw_booleans": booleans}
    run = whole[entry](note) if entry in whole else entry_of_layer(entry, note)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=checks)(run)()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
