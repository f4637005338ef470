"""The variants, and their formulas written once more: in torch, vector by vector, with autograd for the gradient."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import layer_norm

from throughtime.spec.cells import NORM_EPS, LayerOptions, direction_shapes, suffix
from throughtime.spec.masks import Masks

Named = dict[str, NDArray[np.float64]]
DROPOUT: dict[str, Any] = {"recurrent_dropout": 0.4, "weight_dropout": 0.3}
LSTM: dict[str, Any] = {"cell": "LSTM"}
ALL: dict[str, Any] = {"layer_norm": True, "peephole": True, "proj_size": 2, "zoneout": (0.4, 0.3), **DROPOUT}
VARIANTS: dict[str, dict[str, Any]] = {
    "RNN-zoneout": {"cell": "RNN", "zoneout": (0.4, 0.0)},
    "RNN-recurrent-dropout": {"cell": "RNN", "recurrent_dropout": 0.4},
    "RNN-weight-dropout": {"cell": "RNN", "weight_dropout": 0.3},
    "RNN-layer-norm": {"cell": "RNN", "layer_norm": True},
    "RNN-all": {"cell": "RNN", "nonlinearity": "sigmoid", "zoneout": (0.4, 0.0), "layer_norm": True, **DROPOUT},
    "GRU-zoneout": {"cell": "GRU", "zoneout": (0.4, 0.0)},
    "GRU-recurrent-dropout": {"cell": "GRU", "recurrent_dropout": 0.4},
    "GRU-weight-dropout": {"cell": "GRU", "weight_dropout": 0.3},
    "GRU-layer-norm": {"cell": "GRU", "layer_norm": True},
    "GRU-all": {"cell": "GRU", "zoneout": (0.4, 0.0), "layer_norm": True, **DROPOUT},
    "GRU-before-recurrent-dropout": {"cell": "GRU", "reset_after": False, "recurrent_dropout": 0.4},
    "GRU-before-layer-norm": {"cell": "GRU", "reset_after": False, "layer_norm": True},
    "GRU-before-all": {"cell": "GRU", "reset_after": False, "zoneout": (0.4, 0.0), "layer_norm": True, **DROPOUT},
    "LSTM-zoneout-h": LSTM | {"zoneout": (0.4, 0.0)},
    "LSTM-zoneout-c": LSTM | {"zoneout": (0.0, 0.3)},
    "LSTM-recurrent-dropout": LSTM | {"recurrent_dropout": 0.4},
    "LSTM-weight-dropout": LSTM | {"weight_dropout": 0.3},
    "LSTM-peephole": LSTM | {"peephole": True},
    "LSTM-coupled": LSTM | {"coupled_gates": True},
    "LSTM-projection": LSTM | {"proj_size": 2},
    "LSTM-layer-norm": LSTM | {"layer_norm": True},
    "LSTM-layer-norm-coupled-projection": LSTM | {"layer_norm": True, "coupled_gates": True, "proj_size": 2},
    "LSTM-peephole-coupled-zoneout": LSTM | {"peephole": True, "coupled_gates": True, "zoneout": (0.4, 0.3)},
    "LSTM-projection-zoneout-dropout": LSTM | {"proj_size": 2, "zoneout": (0.4, 0.3), **DROPOUT},
    "LSTM-all-but-coupled": LSTM | ALL,
    "LSTM-all": LSTM | ALL | {"coupled_gates": True},
    "MinGRU": {"cell": "MinGRU"},
    "MinGRU-zoneout": {"cell": "MinGRU", "zoneout": (0.4, 0.0)},
    "MinLSTM": {"cell": "MinLSTM"},
    "MinLSTM-zoneout": {"cell": "MinLSTM", "zoneout": (0.4, 0.0)},
    "IndRNN-relu": {"cell": "IndRNN", "nonlinearity": "relu"},
    "IndRNN-tanh-zoneout": {"cell": "IndRNN", "zoneout": (0.4, 0.0)},
}


RANDOM = [name for name, options in VARIANTS.items() if options.keys() & {"zoneout", *DROPOUT}]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """variant: each of them, with masks where it has any. random_variant: those that have."""
    trained = {name: VARIANTS[name] | {"training": name in RANDOM} for name in VARIANTS}
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", trained.values(), ids=trained.keys())
    if "random_variant" in metafunc.fixturenames:
        metafunc.parametrize("random_variant", [trained[name] for name in RANDOM], ids=RANDOM)


def _sums(options: LayerOptions, p: dict[str, Tensor], side: str, weight: Tensor, v: Tensor) -> dict[str, Tensor]:
    """W v + b of every gate, normalised in the groups of the cell."""
    a = weight @ v
    if options.layer_norm:
        gates, size = len(options.gates), len(a) // len(options.gates)
        groups = [2 * size, size] if options.cell == "GRU" else [gates * size]
        parts = zip(torch.split(a, groups), torch.split(p[f"norm_{side}"], groups), strict=True)
        a = torch.cat([layer_norm(part, part.shape, gain, eps=NORM_EPS) for part, gain in parts])
    if f"bias_{side}" in p:
        a = a + p[f"bias_{side}"]
    return dict(zip(options.gates, a.chunk(len(options.gates)), strict=True))


def _gru(
    h: Tensor, x: dict[str, Tensor], of_hidden: Callable[[Tensor], dict[str, Tensor]], reset_after: bool
) -> Tensor:
    r, z = (torch.sigmoid(x[gate] + of_hidden(h)[gate]) for gate in ("r", "z"))
    n = torch.tanh(x["n"] + (r * of_hidden(h)["n"] if reset_after else of_hidden(r * h)["n"]))
    return (1 - z) * n + z * h


def _lstm(
    options: LayerOptions, p: dict[str, Tensor], a: dict[str, Tensor], c: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    zero = torch.zeros_like(c)
    if options.peephole:
        *p_i, p_f, p_o = torch.split(p["weight_peephole"], len(c))
    else:
        p_i, p_f, p_o = [zero], zero, zero
    f = torch.sigmoid(a["f"] + p_f * c)
    i = 1 - f if options.coupled_gates else torch.sigmoid(a["i"] + p_i[0] * c)
    new = f * c + i * torch.tanh(a["g"])
    o = torch.sigmoid(a["o"] + p_o * new)
    read = layer_norm(new, new.shape, p["norm_c"], p.get("bias_c"), NORM_EPS) if options.layer_norm else new
    h = o * torch.tanh(read)  # of the new cell state, whatever zoneout keeps: Krueger et al. 2017
    return (p["weight_hr"] @ h if options.proj_size else h), keep * c + (1 - keep) * new


def _vector_step(
    options: LayerOptions, p: dict[str, Tensor], m: Masks[Tensor], x: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """(h_t, c_t) of one sequence; c is anything for a cell that has none."""
    a = _sums(options, p, "ih", p["weight_ih"], x)

    def of_hidden(v: Tensor) -> dict[str, Tensor]:
        weight = p["weight_hh"] if m.weight_hh is None else p["weight_hh"] * m.weight_hh
        return _sums(options, p, "hh", weight, v if m.recurrent is None else v * m.recurrent)

    phi = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}[options.nonlinearity]
    keep_h, keep_c = (
        torch.tensor(share, dtype=torch.float64) if mask is None else mask
        for share, mask in zip(options.zoneout, (m.zoneout_h, m.zoneout_c), strict=True)
    )
    match options.cell:
        case "RNN":
            new = phi(a["h"] + of_hidden(h)["h"])
        case "GRU":
            new = _gru(h, a, of_hidden, options.reset_after)
        case "LSTM":
            hidden = of_hidden(h)
            new, c = _lstm(options, p, {gate: a[gate] + hidden[gate] for gate in a}, c, keep_c)
        case "MinGRU":
            new = torch.lerp(h, a["n"], torch.sigmoid(a["z"]))
        case "MinLSTM":
            f, i = torch.sigmoid(a["f"]), torch.sigmoid(a["i"])
            new = (f * h + i * a["n"]) / (f + i)
        case "IndRNN":
            new = phi(a["h"] + p["weight_hh"] * h)
    return keep_h * h + (1 - keep_h) * new, c


def _masks_of_vector(masks: Masks[Any], t: int, row: int) -> Masks[Tensor]:
    def tensor(mask: Any, *place: int) -> Tensor | None:
        return None if mask is None else torch.tensor(mask[place], dtype=torch.float64)

    return Masks(
        zoneout_h=tensor(masks.zoneout_h, t, row),
        zoneout_c=tensor(masks.zoneout_c, t, row),
        recurrent=tensor(masks.recurrent, row),
        weight_hh=tensor(masks.weight_hh),
    )


def _named(kind: str, values: list[Any]) -> dict[str, Any]:
    return {f"{kind}[{layer}]": value for layer, value in enumerate(values)}


@pytest.fixture
def formula_run() -> Callable[[Any], tuple[Named, Named]]:
    """What the formulas of any cell give, written for one vector in torch: (results, gradients) by autograd."""

    def run(given: Any) -> tuple[Named, Named]:
        options, batch = given.options, range(len(given.lengths))
        leaves = {name: torch.tensor(value, requires_grad=True) for name, value in given.arguments().items()}
        weights = _named("h_n", given.u_h_n) | _named("c_n", given.u_c_n)
        terms: list[torch.Tensor] = []
        after: Named = {name: np.zeros_like(value) for name, value in weights.items()}
        x = [[leaves["input"][t, row] for t in range(given.lengths[row])] for row in batch]
        for layer in range(options.num_layers):
            outputs: list[list[list[torch.Tensor]]] = [[[] for _ in steps] for steps in x]
            for direction in range(options.num_directions):
                own = {kind: leaves[kind + suffix(layer, direction)] for kind in direction_shapes(options, layer)}
                masks = given.masks[layer][direction] if given.masks is not None else Masks()
                for row in batch:
                    h = leaves[f"h_0[{layer}]"][direction, row]
                    c = leaves[f"c_0[{layer}]"][direction, row] if options.has_cell_state else h
                    steps = range(len(x[row]))
                    for t in reversed(steps) if direction else steps:
                        h, c = _vector_step(options, own, _masks_of_vector(masks, t, row), x[row][t], h, c)
                        outputs[row][t].append(h)
                    for name, part in ((f"h_n[{layer}]", h), (f"c_n[{layer}]", c)):
                        if name in weights:
                            terms.append((part * torch.tensor(weights[name][direction, row])).sum())
                            after[name][direction, row] = part.detach().numpy()
            x = [[torch.cat(parts) for parts in steps] for steps in outputs]
        output = np.zeros_like(given.u_output)
        for row in batch:
            for t, vector in enumerate(x[row]):
                terms.append((vector * torch.tensor(given.u_output[t, row])).sum())
                output[t, row] = vector.detach().numpy()
        torch.autograd.backward(torch.stack(terms).sum())
        gradients = {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}
        return {"output": output} | after, gradients

    return run
