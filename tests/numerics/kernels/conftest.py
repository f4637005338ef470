"""Helpers of the numerics tests of the native core: random problems, runs of them, the reference, comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from throughtime import equations
from throughtime.kernels import _core
from throughtime.spec.cells import GATES, KINDS, NONLINEARITIES, LayerOptions, parameter_shapes, suffix
from throughtime.spec.masks import Masks
from throughtime.spec.tolerances import GRADIENT, OUTPUT, OUTPUT_NORMALISED, Tolerance

Array = NDArray[Any]
Named = dict[str, Array]
INSTRUCTION_SETS = ("avx512", "avx2", "baseline")


@dataclass(frozen=True)
class Problem:
    """One layer with random arguments in the dtype of the run, NaN where padding is, and an upstream gradient.

    state, u_state: of h_n, and of c_n for an LSTM, each (directions, batch, features).
    masks: of each direction, as far as the options have them; empty outside of training.
    """

    options: LayerOptions
    lengths: tuple[int, ...]
    parameters: Named
    input: Array
    state: list[Array]
    u_output: Array
    u_state: list[Array]
    masks: list[Masks[Array]]

    @property
    def dtype(self) -> str:
        return str(self.input.dtype)

    @property
    def past(self) -> Array:
        """(seq_len, batch): where padding is."""
        return np.arange(len(self.input))[:, None] >= np.array(self.lengths)


@dataclass(frozen=True)
class Results:
    """values: output, h_n, c_n. gradients: input, h_0, c_0, and the parameters by their names."""

    values: Named
    gradients: Named


class Kernel:
    """The compiled layer of a problem with packed weights. Every array that it writes holds NaN before."""

    def __init__(self, given: Problem, isa: str, threads: int) -> None:
        options = given.options
        kind = _core.LayerFloat32 if given.dtype == "float32" else _core.LayerFloat64
        self.given, self.threads = given, threads
        self.layer = kind(
            list(GATES).index(options.cell),
            NONLINEARITIES.index(options.nonlinearity),
            options.reset_after,
            options.input_size,
            options.hidden_size[0],
            options.num_directions,
            isa,
            layer_norm=options.layer_norm,
            zoneout_h=options.zoneout[0],
            zoneout_c=options.zoneout[1],
            zoneout_masks=bool(given.masks) and any(options.zoneout),
            recurrent_mask=bool(given.masks) and options.recurrent_dropout > 0,
            peephole=options.peephole,
            coupled_gates=options.coupled_gates,
            proj_size=options.proj_size,
        )
        assert self.layer.isa == isa
        self.plan = _core.BatchPlan(len(given.input), len(given.lengths), list(given.lengths))
        self.packed = [self._pack(d, False) for d in range(options.num_directions)]
        self.packed_back = [self._pack(d, True) for d in range(options.num_directions)]

    def empty(self, *shape: int) -> Array:
        return np.full(shape, np.nan, self.given.dtype)

    def _pack(self, direction: int, backward: bool) -> Array:
        values: list[Any] = [self.given.parameters.get(name + suffix(0, direction)) for name in KINDS]
        packed = self.empty(self.layer.packed_backward if backward else self.layer.packed_forward)
        self.layer.pack(values, backward, packed)
        return packed

    def masks(self) -> list[Any]:
        """As the core takes them."""

        def as_bytes(mask: Array | None) -> Array | None:
            return None if mask is None else mask.astype(np.uint8)

        return [[as_bytes(m.zoneout_h), as_bytes(m.zoneout_c), m.recurrent] for m in self.given.masks]

    def forward(self, state: list[Any], projected: list[Array] | None = None, ids: Array | None = None) -> Named:
        """output, h_n, c_n, and for backward saved[direction]; from the table `projected` where it is given."""
        given, layer = self.given, self.layer
        h_0, c_0 = (*state, None)[:2]
        got = {"output": self.empty(*given.u_output.shape), "h_n": np.full_like(given.state[0], np.nan)}
        if len(given.state) == 2:
            got["c_n"] = np.full_like(given.state[1], np.nan)
        saved = [self.empty(self.plan.tokens, layer.saved_width) for _ in self.packed]
        x = given.input if ids is None else None
        layer.forward(
            self.plan, x, self.packed, h_0, c_0, got["output"], got["h_n"], got.get("c_n"), saved, projected or [],
            ids, self.threads, self.masks(),
        )  # fmt: skip
        return got | {f"saved[{d}]": part for d, part in enumerate(saved)}

    def backward(self, state: list[Any], forward: Named, with_input: bool = True) -> Named:
        """Gradients by name, and d_gates[direction]; without that of the input and weight_ih if asked so."""
        given, layer = self.given, self.layer
        h_0, c_0 = (*state, None)[:2]
        u_h_n, u_c_n = (*given.u_state, None)[:2]
        d_input = np.full_like(given.input, np.nan) if with_input else None
        d_state: list[Any] = [np.full_like(part, np.nan) for part in given.state]
        d_h_0, d_c_0 = (*d_state, None)[:2]
        d_parameters = {
            name: np.full_like(value, np.nan)
            for name, value in given.parameters.items()
            if with_input or not name.startswith("weight_ih")
        }
        saved = [forward[f"saved[{d}]"] for d in range(len(self.packed))] if layer.saved_width else []
        d_gates = [self.empty(self.plan.tokens, layer.gates_width) for _ in self.packed]
        d_weights = [[d_parameters.get(name + suffix(0, d)) for name in KINDS] for d in range(len(self.packed))]
        layer.backward(
            self.plan, given.input if with_input else None, self.packed_back, h_0, c_0, forward["output"], saved,
            given.u_output, u_h_n, u_c_n, d_gates, d_input, d_h_0, d_c_0, d_weights, self.threads, self.masks(),
        )  # fmt: skip
        got = {} if d_input is None else {"input": d_input}
        got |= dict(zip(("h_0", "c_0"), d_state, strict=False)) | d_parameters
        return got | {f"d_gates[{d}]": part for d, part in enumerate(d_gates)}


@pytest.fixture(params=INSTRUCTION_SETS)
def isa(request: pytest.FixtureRequest) -> str:
    """Each instruction set; skips, and names, those that this machine lacks."""
    name = str(request.param)
    if name not in _core.instruction_sets():
        pytest.skip(f"this machine does not run {name}")
    return name


def _make(lengths: tuple[int, ...], dtype: str, options: LayerOptions, seed: int, training: bool) -> Problem:
    rng = np.random.default_rng(seed)
    hidden_size, directions = options.hidden_size[0], options.num_directions

    def draw(*shape: int) -> Array:
        return rng.uniform(-1, 1, shape).astype(dtype)

    seq_len, batch = max(lengths), len(lengths)
    past = np.arange(seq_len)[:, None] >= np.array(lengths)
    states = [(directions, batch, options.output_features(0)), (directions, batch, hidden_size)]
    states = states if options.has_cell_state else states[:1]

    def kept(share: float, size: int) -> Array | None:
        return rng.random((seq_len, batch, size)) < share if share else None

    def masks() -> Masks[Array]:
        features, share = options.output_features(0), options.recurrent_dropout
        recurrent = (rng.random((batch, features)) >= share).astype(dtype) / np.dtype(dtype).type(1 - share)
        kept_h, kept_c = kept(options.zoneout[0], features), kept(options.zoneout[1], hidden_size)
        return Masks(zoneout_h=kept_h, zoneout_c=kept_c, recurrent=recurrent if share else None)

    made = Problem(
        options=options,
        lengths=lengths,
        parameters={
            name: draw(*shape) * np.dtype(dtype).type(max(shape[1:], default=1) ** -0.5)
            for name, shape in parameter_shapes(options).items()
        },
        input=draw(seq_len, batch, options.input_size),
        state=[draw(*shape) for shape in states],
        u_output=draw(seq_len, batch, options.output_size),
        u_state=[draw(*shape) for shape in states],
        masks=[masks() for _ in range(directions)] if training else [],
    )
    made.input[past] = np.nan
    made.u_output[past] = np.nan
    return made


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """problem(lengths, dtype, cell=…, input_size=…, hidden_size=…, …)."""

    def make(
        lengths: tuple[int, ...], dtype: str = "float32", *, seed: int = 5, training: bool = True, **more: Any
    ) -> Problem:
        given: dict[str, Any] = {"cell": "LSTM", "input_size": 3, "hidden_size": 17} | more
        given["hidden_size"] = (given["hidden_size"],)
        return _make(tuple(lengths), dtype, LayerOptions(**given), seed, training)

    return make


@pytest.fixture
def kernel() -> Callable[..., Kernel]:
    """kernel(problem, isa, threads=1)."""

    def make(given: Problem, isa: str, threads: int = 1) -> Kernel:
        return Kernel(given, isa, threads)

    return make


@pytest.fixture
def run() -> Callable[..., Results]:
    """run(problem, isa, threads=1, state=…): forward and backward on the native core."""

    def _run(given: Problem, isa: str, threads: int = 1, state: list[Any] | None = None) -> Results:
        kernel, start = Kernel(given, isa, threads), given.state if state is None else state
        values = kernel.forward(start)
        gradients = kernel.backward(start, values)
        return Results(_plain(values), _plain(gradients))

    return _run


def _plain(named: Named) -> Named:
    return {name: value for name, value in named.items() if "[" not in name}


@pytest.fixture
def reference() -> Callable[[Problem], Results]:
    """The equations, in float64, on the same numbers."""
    return _compute


def _compute(given: Problem) -> Results:
    parts = [[part.astype("float64")] for part in given.state]
    state: Any = tuple(parts) if len(parts) == 2 else parts[0]
    masks: Any = [given.masks] if given.masks else None
    trace = equations.forward(given.options, given.parameters, given.input, given.lengths, state, masks)
    back = equations.backward(trace, given.u_output, *([part] for part in given.u_state))
    values: Named = {"output": trace.output, "h_n": trace.h_n[0]}
    gradients: Named = {"input": back.d_input, "h_0": back.d_h_0[0]}
    if len(parts) == 2:
        values["c_n"] = trace.c_n[0]
        gradients["c_0"] = back.d_c_0[0]
    return Results(values, gradients | back.d_parameters)


@pytest.fixture
def close() -> Callable[..., None]:
    """close(got, expected): the same names and shapes, and the numbers within the table of the dtype that was run.

    sums: gradients are compared as long sums, see `Tolerance.of_sums`. normalised: see `OUTPUT_NORMALISED`.
    """

    def check(name: str, got: Array, expected: Array, row: Tolerance) -> None:
        assert got.shape == expected.shape, name
        np.testing.assert_allclose(got, expected, row.rtol, row.atol, equal_nan=False, err_msg=name)

    def compare(got: Results, expected: Results, *, sums: bool = False, normalised: bool = False) -> None:
        dtype = str(got.values["output"].dtype)
        for table, ours, theirs in (
            (OUTPUT_NORMALISED if normalised else OUTPUT, got.values, expected.values),
            (GRADIENT, got.gradients, expected.gradients),
        ):
            assert ours.keys() == theirs.keys()
            for name in ours:
                row = table[dtype]
                if sums and table is GRADIENT:
                    row = row.of_sums(float(np.nanmax(np.abs(theirs[name]))))
                check(name, ours[name], theirs[name], row)

    return compare


@pytest.fixture
def same_bits() -> Callable[[Named, Named], None]:
    """same_bits(got, expected): the same names, and equal bits."""

    def compare(got: Named, expected: Named) -> None:
        assert got.keys() == expected.keys()
        for name in got:
            bits = f"u{got[name].itemsize}"
            ours, theirs = (np.ascontiguousarray(value).view(bits) for value in (got[name], expected[name]))
            np.testing.assert_array_equal(ours, theirs, err_msg=name)

    return compare
