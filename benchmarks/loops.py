"""The cells as a user of PyTorch writes them who needs what torch's layers lack: a loop over the steps.

Written to be fast for what it is: the input's share of all steps is computed at once, and masks are drawn at once; in
the loop stands only what waits for the step before, in as few operations as torch has for it.
"""

from collections.abc import Callable
from itertools import repeat
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from throughtime.spec.cells import LayerOptions, parameter_shapes

State: TypeAlias = tuple[Tensor, ...]
"""(h,), or (h, c) of an LSTM; each (batch, features)."""
Weights: TypeAlias = dict[str, Tensor]


class Masks(NamedTuple):
    """zoneout_h, zoneout_c: (steps, batch, features), true where the old value stays; recurrent: (batch, features)."""

    zoneout_h: Tensor | None = None
    zoneout_c: Tensor | None = None
    recurrent: Tensor | None = None


StepMasks: TypeAlias = tuple[Tensor | None, Tensor | None, Tensor | None]

_PHI: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}


class Loop(nn.Module):
    """One layer in one direction, from a state of zeros; its parameters have the names of `throughtime.spec.cells`.

    Args:
        compiled: the step goes through `torch.compile`.
    Raises:
        ValueError: an option that the loops do not have.
    """

    def __init__(self, options: LayerOptions, *, compiled: bool = False) -> None:
        super().__init__()
        plain = options.bias and options.reset_after and options.num_layers == 1 and not options.bidirectional
        if not plain or options.weight_dropout or options.nonlinearity not in _PHI:
            raise ValueError(f"no loop is written for {options}")
        self._options = options
        for name, shape in parameter_shapes(options).items():
            setattr(self, name, nn.Parameter(torch.empty(shape)))
        step = step_of(options)
        self._step: Callable[..., State] = torch.compile(step, fullgraph=True, dynamic=False) if compiled else step

    def forward(self, x: Tensor, masks: Masks | None = None) -> Tensor:
        """(steps, batch, input_size) → (steps, batch, features of h).

        Args:
            masks: in place of those that are drawn in training.
        """
        options, (steps, batch, _) = self._options, x.shape
        p: Weights = {name.removesuffix("_l0"): parameter for name, parameter in self.named_parameters()}
        if masks is None:
            masks = draw(options, steps, batch) if self.training else Masks()
        keep_h, keep_c = (
            repeat(None, steps) if mask is None else mask.unbind(0) for mask in (masks.zoneout_h, masks.zoneout_c)
        )
        weights = _weights(options, p)
        state: State = (x.new_zeros(batch, options.output_features(0)),)
        if options.has_cell_state:
            state = (*state, x.new_zeros(batch, options.hidden_size[0]))
        outputs = []
        for *gates, h, c in zip(*(part.unbind(0) for part in _project(options, p, x)), keep_h, keep_c, strict=True):
            state = self._step(tuple(gates), state, weights, (h, c, masks.recurrent))
            outputs.append(state[0])
        return torch.stack(outputs)


def draw(options: LayerOptions, steps: int, batch: int) -> Masks:
    """Those of a call in training."""
    (keep_h, keep_c), drop = options.zoneout, options.recurrent_dropout
    features, units = options.output_features(0), options.hidden_size[0]
    return Masks(
        torch.rand(steps, batch, features) < keep_h if keep_h else None,
        torch.rand(steps, batch, units) < keep_c if keep_c else None,
        (torch.rand(batch, features) >= drop) / (1 - drop) if drop else None,
    )


def step_of(options: LayerOptions) -> Callable[[State, State, Weights, StepMasks], State]:
    """gates of the input, state, weights, masks of the step → state."""
    cell: Callable[[LayerOptions, State, State, Weights, StepMasks], State] = {
        "LSTM": _lstm,
        "GRU": _gru,
        "RNN": _rnn,
        "MinGRU": _blend,
        "MinLSTM": _scaled,
        "IndRNN": _indrnn,
    }[options.cell]

    def step(gates: State, state: State, w: Weights, masks: StepMasks) -> State:
        return cell(options, gates, state, w, masks)

    return step


def _project(options: LayerOptions, p: Weights, x: Tensor) -> State:
    """What the input gives to every step, each (steps, batch, …)."""
    size = options.hidden_size[0]
    if options.cell == "MinGRU":
        z, n = functional.linear(x, p["weight_ih"], p["bias_ih"]).chunk(2, -1)
        return torch.sigmoid(z), n
    if options.cell == "MinLSTM":
        gates, n = _first_two(functional.linear(x, p["weight_ih"], p["bias_ih"]), size)
        f, i = torch.sigmoid(gates).chunk(2, -1)
        f = f / (f + i)
        return f, (1 - f) * n
    if options.layer_norm:
        return _normalised(options, functional.linear(x, p["weight_ih"]), p["norm_ih"], p["bias_ih"])
    if options.cell == "GRU":  # the recurrent bias of n stands inside of r ⊙ (…)
        return _first_two(functional.linear(x, p["weight_ih"], p["bias_ih"]), size)
    bias = p["bias_ih"] + p["bias_hh"] if "bias_hh" in p else p["bias_ih"]
    return (functional.linear(x, p["weight_ih"], bias),)


def _first_two(gates: Tensor, size: int) -> State:
    """The first two of three gates together, and the third."""
    return gates[..., : 2 * size], gates[..., 2 * size :]


def _normalised(options: LayerOptions, a: Tensor, gain: Tensor, bias: Tensor) -> State:
    """Layer normalisation of W x or W h, for a GRU that of r and z and that of n."""
    if options.cell != "GRU":
        return (functional.layer_norm(a, gain.shape, gain, bias),)
    size = options.hidden_size[0]
    parts = zip(*(_first_two(value, size) for value in (a, gain, bias)), strict=True)
    return tuple(functional.layer_norm(part, g.shape, g, b) for part, g, b in parts)


def _weights(options: LayerOptions, p: Weights) -> Weights:
    """What the steps read, in the form in which they need it."""
    w = dict(p)
    for name in ("weight_hh", "weight_hr"):
        if name in p and p[name].dim() == 2:
            w[name] = p[name].t()
    if options.peephole:
        names = ("p_f", "p_o") if options.coupled_gates else ("p_i", "p_f", "p_o")
        w |= dict(zip(names, p["weight_peephole"].chunk(len(names)), strict=True))
    return w


def _zone(old: Tensor, new: Tensor, keep: Tensor | None, share: float) -> Tensor:
    """Zoneout: by the mask in training, else by its share."""
    if keep is not None:
        return torch.where(keep, old, new)
    return torch.lerp(new, old, share) if share else new


def _dropped(h: Tensor, masks: StepMasks) -> Tensor:
    return h if masks[2] is None else h * masks[2]


def _lstm(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    h, c = state
    into = _dropped(h, masks)
    if options.layer_norm:
        (recurrent,) = _normalised(options, into @ w["weight_hh"], w["norm_hh"], w["bias_hh"])
        a = gates[0] + recurrent
    else:
        a = torch.addmm(gates[0], into, w["weight_hh"])
    *first, f, g, o = a.chunk(len(options.gates), 1)
    if options.peephole:
        f = f + w["p_f"] * c
    f = torch.sigmoid(f)
    if options.coupled_gates:
        new_c = torch.lerp(torch.tanh(g), c, f)
    else:
        i = first[0] + w["p_i"] * c if options.peephole else first[0]
        new_c = f * c + torch.sigmoid(i) * torch.tanh(g)
    if options.peephole:
        o = o + w["p_o"] * new_c
    seen = functional.layer_norm(new_c, new_c.shape[1:], w["norm_c"], w["bias_c"]) if options.layer_norm else new_c
    new_h = torch.sigmoid(o) * torch.tanh(seen)
    if options.proj_size:
        new_h = new_h @ w["weight_hr"]
    return _zone(h, new_h, masks[0], options.zoneout[0]), _zone(c, new_c, masks[1], options.zoneout[1])


def _gru(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    h, size = state[0], options.hidden_size[0]
    into = _dropped(h, masks)
    if options.layer_norm:
        rz, hn = _normalised(options, into @ w["weight_hh"], w["norm_hh"], w["bias_hh"])
    else:
        rz, hn = _first_two(torch.addmm(w["bias_hh"], into, w["weight_hh"]), size)
    r, z = torch.sigmoid(gates[0] + rz).chunk(2, 1)
    n = torch.tanh(gates[1] + r * hn)
    return (_zone(h, torch.lerp(n, h, z), masks[0], options.zoneout[0]),)


def _rnn(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    h = state[0]
    into = _dropped(h, masks)
    if options.layer_norm:
        (recurrent,) = _normalised(options, into @ w["weight_hh"], w["norm_hh"], w["bias_hh"])
        a = gates[0] + recurrent
    else:
        a = torch.addmm(gates[0], into, w["weight_hh"])
    return (_zone(h, _PHI[options.nonlinearity](a), masks[0], options.zoneout[0]),)


def _indrnn(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    new = _PHI[options.nonlinearity](torch.addcmul(gates[0], w["weight_hh"], state[0]))
    return (_zone(state[0], new, masks[0], options.zoneout[0]),)


def _blend(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    z, n = gates
    return (_zone(state[0], torch.lerp(state[0], n, z), masks[0], options.zoneout[0]),)


def _scaled(options: LayerOptions, gates: State, state: State, w: Weights, masks: StepMasks) -> State:
    share, added = gates
    return (_zone(state[0], torch.addcmul(added, share, state[0]), masks[0], options.zoneout[0]),)
