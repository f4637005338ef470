"""Calls of one entry of the core with random, and randomly spoilt, arguments. Run by test_fuzz.py: ENTRY FILE EXAMPLES.

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

from tests.integration.kernels.fuzz.call import BESIDE, Call
from tests.integration.kernels.fuzz.spoilt import ODD_VALUES, OUTPUTS, relaid, same, spoil
from throughtime.kernels import _core
from throughtime.spec.errors import OptionError, ShapeError


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
