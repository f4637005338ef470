"""A random call of an entry of the core, valid as it stands. Every array lies between canaries."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from throughtime.kernels import _core
from throughtime.spec.cells import CLASSIC, GATES, KINDS, NONLINEARITIES, LayerOptions, direction_shapes

CANARY, BESIDE = 7.25, 64
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
