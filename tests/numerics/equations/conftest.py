"""Helpers of the reference's tests: random problems, central differences, comparison by the one table of tolerances."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from throughtime.equations import Gradients, Trace, backward, forward
from throughtime.spec.cells import LayerOptions, direction_shapes, parameter_shapes
from throughtime.spec.masks import Masks
from throughtime.spec.tolerances import Tolerance

Array = NDArray[np.float64]
Named = dict[str, Array]


@dataclass(frozen=True)
class Problem:
    """A stack with random arguments, none of them zero, and a random weight on every number that it returns.

    E is the sum of all returned numbers times their weights: upstream gradients reach output, h_n and c_n at once.
    """

    options: LayerOptions
    lengths: list[int]
    parameters: Named
    input: Array
    h_0: list[Array]
    c_0: list[Array]
    u_output: Array
    u_h_n: list[Array]
    u_c_n: list[Array]
    masks: list[list[Masks[Any]]] | None

    @property
    def state(self) -> Any:
        return (self.h_0, self.c_0) if self.options.has_cell_state else self.h_0

    def trace(self) -> Trace:
        return forward(self.options, self.parameters, self.input, self.lengths, self.state, self.masks)

    def error(self) -> float:
        """E, and nothing but the forward pass."""
        trace = self.trace()
        pairs = [(trace.output, self.u_output), *zip(trace.h_n, self.u_h_n, strict=True)]
        pairs += list(zip(trace.c_n, self.u_c_n, strict=True))
        return float(sum(np.sum(value * weight) for value, weight in pairs))

    def results(self) -> Named:
        """Everything that forward returns, by name."""
        trace = self.trace()
        return _named(output=trace.output, h_n=trace.h_n, c_n=trace.c_n)

    def gradients(self, **more: Any) -> Named:
        """∂E/∂ every argument, by hand-derived BPTT."""
        u_c_n = self.u_c_n if self.options.has_cell_state else None
        return named_gradients(backward(self.trace(), self.u_output, self.u_h_n, u_c_n, **more))

    def arguments(self) -> Named:
        """Every argument of forward, by name: the arrays themselves, not copies."""
        return _named(input=self.input, h_0=self.h_0, c_0=self.c_0) | self.parameters

    def with_steps(self, start: int, stop: int, state: Any, first_error: int) -> "Problem":
        """The stretch start … stop-1 from `state`, with weights on the outputs from step first_error on only."""
        h_0, c_0 = state if self.options.has_cell_state else (state, [])
        u_output = self.u_output[start:stop].copy()
        u_output[: first_error - start] = 0.0
        assert min(self.lengths) == len(self.input), "only for sequences of equal lengths"
        last = stop == len(self.input)
        return replace(
            self,
            lengths=[stop - start] * len(self.lengths),
            input=self.input[start:stop],
            h_0=h_0,
            c_0=c_0,
            u_output=u_output,
            u_h_n=[u * last for u in self.u_h_n],
            u_c_n=[u * last for u in self.u_c_n],
            masks=self.masks_of(slice(start, stop), slice(None)),
        )

    def masks_of(self, steps: slice, rows: slice) -> list[list[Masks[Any]]] | None:
        """The masks of some steps of some sequences."""
        if self.masks is None:
            return None

        def part(masks: Masks[Any]) -> Masks[Any]:
            return Masks(
                zoneout_h=None if masks.zoneout_h is None else masks.zoneout_h[steps, rows],
                zoneout_c=None if masks.zoneout_c is None else masks.zoneout_c[steps, rows],
                recurrent=None if masks.recurrent is None else masks.recurrent[rows],
                weight_hh=masks.weight_hh,
            )

        return [[part(masks) for masks in directions] for directions in self.masks]


def _named(**values: Any) -> Named:
    """Lists taken apart: h_0=[a, b] gives h_0[0] and h_0[1]."""
    flat: Named = {}
    for name, value in values.items():
        flat |= {f"{name}[{i}]": part for i, part in enumerate(value)} if isinstance(value, list) else {name: value}
    return flat


def named_gradients(gradients: Gradients) -> Named:
    named = _named(input=gradients.d_input, h_0=gradients.d_h_0, c_0=gradients.d_c_0)
    return named | gradients.d_parameters


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Makes a problem: problem(lengths, cell=…, hidden_size=(…), …); with masks if training=True."""

    def make(
        lengths: list[int],
        *,
        input_size: int = 2,
        hidden_size: tuple[int, ...] = (3,),
        seed: int = 1,
        training: bool = False,
        **more: Any,
    ) -> Problem:
        options = LayerOptions(input_size=input_size, hidden_size=hidden_size, **more)
        rng = np.random.default_rng(seed)

        def draw(*shape: int) -> Array:
            # Away from 0, where a missing term would not be seen.
            size = rng.uniform(0.2, 0.9, shape)
            return np.where(rng.random(shape) < 0.5, size, -size)

        seq_len, batch = max(lengths), len(lengths)
        features = [options.output_features(layer) for layer in range(options.num_layers)]
        shapes = [(options.num_directions, batch, size) for size in features]
        cell_shapes = [(options.num_directions, batch, size) for size in hidden_size if options.has_cell_state]

        def draw_masks(layer: int) -> Masks[Any]:
            def keep(share: float, *shape: int) -> Any:
                return rng.random(shape) < share if share else None

            def scale(share: float, *shape: int) -> Any:
                return (rng.random(shape) >= share) / (1.0 - share) if share else None

            return Masks(
                zoneout_h=keep(options.zoneout[0], seq_len, batch, features[layer]),
                zoneout_c=keep(options.zoneout[1], seq_len, batch, hidden_size[layer]),
                recurrent=scale(options.recurrent_dropout, batch, features[layer]),
                weight_hh=scale(options.weight_dropout, *direction_shapes(options, layer).get("weight_hh", ())),
            )

        return Problem(
            options=options,
            lengths=lengths,
            parameters={name: draw(*shape) for name, shape in parameter_shapes(options).items()},
            input=draw(seq_len, batch, input_size),
            h_0=[draw(*shape) for shape in shapes],
            c_0=[draw(*shape) for shape in cell_shapes],
            u_output=draw(seq_len, batch, options.output_size),
            u_h_n=[draw(*shape) for shape in shapes],
            u_c_n=[draw(*shape) for shape in cell_shapes],
            masks=[[draw_masks(layer) for _ in range(options.num_directions)] for layer in range(options.num_layers)]
            if training
            else None,
        )

    return make


@pytest.fixture
def central() -> Callable[..., Named]:
    """central(error, arguments): ∂error()/∂ every element of every argument, by central differences.

    steep=True: from four values in place of two, for errors of large third derivative, such as one through a vector
    that is divided by its own small deviation.
    """

    def differences(error: Callable[[], float], arguments: Mapping[str, Array], *, steep: bool = False) -> Named:
        if steep:  # the method's own error is about step⁴ and eps / step, 1e-18 and 1e-11
            step, weights = 2.0**-15, {1: 2 / 3, -1: -2 / 3, 2: -1 / 12, -2: 1 / 12}
        else:  # step² and eps / step, both about 1e-10 to 1e-11
            step, weights = 2.0**-17, {1: 1 / 2, -1: -1 / 2}
        gradients = {name: np.zeros_like(value) for name, value in arguments.items()}
        for name, value in arguments.items():
            for index in np.ndindex(value.shape):
                kept = value[index]
                for steps, weight in weights.items():
                    value[index] = kept + steps * step
                    gradients[name][index] += weight * error() / step
                value[index] = kept
        return gradients

    return differences


@pytest.fixture
def close() -> Callable[[Named, Named, Tolerance], None]:
    """close(got, expected, tolerance): the same names and shapes, and the numbers within the tolerance."""

    def compare(got: Named, expected: Named, tolerance: Tolerance) -> None:
        assert got.keys() == expected.keys()
        for name, value in got.items():
            assert value.shape == expected[name].shape, name
            np.testing.assert_allclose(value, expected[name], tolerance.rtol, tolerance.atol, err_msg=name)

    return compare


@pytest.fixture
def torch_run() -> Callable[[Problem], tuple[Named, Named]]:
    """What torch gives for a problem in float64: (results, gradients), one torch layer a layer, packed sequences."""

    def run(given: Problem) -> tuple[Named, Named]:
        options = given.options
        leaves = {name: torch.tensor(value, requires_grad=True) for name, value in given.arguments().items()}
        kind = getattr(torch.nn, options.cell)
        more: dict[str, Any] = {"nonlinearity": options.nonlinearity} if options.cell == "RNN" else {}
        more |= {"proj_size": options.proj_size} if options.proj_size else {}
        x = leaves["input"]
        after: dict[str, torch.Tensor] = {}
        for layer, size in enumerate(options.hidden_size):
            module = kind(
                options.layer_input_size(layer),
                size,
                bias=options.bias,
                bidirectional=options.bidirectional,
                dtype=torch.float64,
                **more,
            )
            own = {name: leaves[name.replace("_l0", f"_l{layer}")] for name, _ in module.named_parameters()}
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(given.lengths), enforce_sorted=False)
            state: Any = leaves[f"h_0[{layer}]"]
            if options.cell == "LSTM":
                state = (state, leaves[f"c_0[{layer}]"])
            output, state = torch.func.functional_call(module, own, (packed, state))
            x, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
            parts = state if options.cell == "LSTM" else (state,)
            after |= {f"{name}[{layer}]": part for name, part in zip(("h_n", "c_n"), parts, strict=False)}
        values = {"output": x} | {name: after[name] for name in sorted(after, key=lambda name: (name[0] == "c", name))}
        weights = _named(output=given.u_output, h_n=given.u_h_n, c_n=given.u_c_n)
        total = torch.stack([(values[name] * torch.tensor(weights[name])).sum() for name in values]).sum()
        torch.autograd.backward(total)
        gradients = {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}
        return {name: value.detach().numpy() for name, value in values.items()}, gradients

    return run
