"""A stack of layers, a batch and a loss in; all numbers out."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from throughtime.flow.advice import Remedies, advise
from throughtime.flow.chain import Chain
from throughtime.flow.gates import gate_activity
from throughtime.flow.gradients import gradient_norms
from throughtime.flow.lags import EXACT_SIZE, lag_norms
from throughtime.flow.memory import memory_length
from throughtime.flow.result import DirectionFlow, GradientFlow, worst
from throughtime.flow.settings import Settings
from throughtime.flow.spectrum import lyapunov_exponents, spectral_radii
from throughtime.flow.spread import Spread
from throughtime.flow.trace import DirectionTrace, Trace, require_finite, run
from throughtime.flow.verdict import find
from throughtime.nn.lengths import Ragged
from throughtime.nn.state import State
from throughtime.spec.cells import LayerOptions
from throughtime.spec.errors import ShapeError


def measure_stack(
    options: LayerOptions,
    weights: Sequence[Sequence[Tensor]],
    x: Tensor,
    states: Sequence[State],
    ragged: Ragged | None,
    loss_of: Callable[[Trace], Tensor],
    settings: Settings,
    *,
    model: str,
    loss: str,
    remedies: Remedies,
    notes: tuple[str, ...] = (),
    report: Callable[[str], None] | None = None,
) -> GradientFlow:
    """Measures a stack in evaluation mode.

    Args:
        weights: parameters of each direction of each layer, in the order of a layer's `all_weights`.
        x: (seq_len, batch, input_size), float64 on the CPU; with `ragged` its lengths.
        states: one a layer, before the first step.
        loss_of: L of the run, a scalar with a graph.
        model, loss, remedies, notes: for the report.
        report: told the name of each direction of a layer when it is measured, which may take many seconds.
    Raises:
        ShapeError: the loss is no scalar, or does not depend on the run.
        OptionError: weights, states, input, the loss or what it sends to the stack's output are not finite; or a lag
            that is too long.
    """
    # What the loss draws at random (dropout in a user's head) is given back to torch's generator.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng():
        trace = run(options, weights, x, states, ragged)
        loss_value = loss_of(trace)
        if loss_value.numel() != 1 or not loss_value.requires_grad:
            raise ShapeError(
                "loss must give one number that depends on the layer's output, but gave shape "
                f"{tuple(loss_value.shape)}{'' if loss_value.requires_grad else ' without a graph'}"
            )
        _require_finite_loss(loss_value, trace)
        norms = gradient_norms(loss_value.reshape(()), trace.directions)
        directions = []
        for direction, parts in zip(trace.directions, norms, strict=True):
            directions.append(_direction(direction, parts, settings))
            if report is not None:
                report(directions[-1].name)
    return GradientFlow(
        model=model,
        loss=loss,
        loss_value=float(loss_value.detach()),
        sequences=x.shape[1],
        jacobian_sequences=min(settings.sequences, x.shape[1]),
        seq_len=int(trace.directions[0].lengths.max()),
        directions=tuple(directions),
        advice=advise(worst(directions).facts, remedies),
        notes=notes,
    )


def _require_finite_loss(loss: Tensor, trace: Trace) -> None:
    """Of the gradient only what the loss itself sends: that a finite one overflows on its way back is to be measured.

    Raises:
        OptionError: the loss or its derivative by the output or the last states is not finite.
    """
    give = "a loss that is finite and has a finite derivative at this output"
    require_finite("the loss", [loss], give=give)
    ends = [trace.output, *(part for state in trace.after for part in state)]
    sent = torch.autograd.grad(loss.reshape(()), ends, allow_unused=True, retain_graph=True)
    require_finite("the gradient of the loss", [part for part in sent if part is not None], give=give)


def _direction(trace: DirectionTrace, norms: list[list[Tensor]], settings: Settings) -> DirectionFlow:
    chain = Chain.of(trace, settings.sequences)
    exact = chain.size <= EXACT_SIZE if settings.exact is None else settings.exact
    generator = torch.Generator().manual_seed(settings.seed)
    lags = settings.lags_of(chain.lengths, exact=exact)
    state, hidden = lag_norms(chain, lags, exact=exact, generator=generator)
    # Of an even number's middle two, vanishing is judged by the lower and explosion by the upper: so none is missed.
    norm, mean = Spread.of(state.largest), Spread.of(state.mean, upper=True)
    judged = norm.shared
    steps, radii = spectral_radii(chain, settings.samples, exact=exact, generator=generator)
    places = np.array(lags, dtype=np.int64)
    seen, gates = places[:judged], gate_activity(trace)
    return DirectionFlow(
        layer=trace.steps.layer,
        reverse=trace.steps.reverse,
        distance=np.arange(len(norms[0]), dtype=np.int64),
        loss_to_h=Spread.of(norms[0]),
        loss_to_c=Spread.of(norms[1]) if len(norms) > 1 else None,
        lags=places,
        norm=norm,
        mean=mean,
        norm_h=Spread.of(hidden.largest),
        mean_h=Spread.of(hidden.mean, upper=True),
        exact=exact,
        steps=np.array(steps, dtype=np.int64),
        spectral_radius=Spread.of(radii),
        lyapunov=Spread.of(list(lyapunov_exponents(chain, settings.exponents, generator=generator))),
        gates=gates,
        memory={
            "1/e": memory_length(seen, norm.median[:judged], math.exp(-1)),
            "1 %": memory_length(seen, norm.median[:judged], 0.01),
        },
        finding=find(seen, norm.median[:judged], mean.median[:judged], gates),
    )
