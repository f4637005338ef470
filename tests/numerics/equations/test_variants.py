"""Every option of every cell: the gradient of every argument against central differences, and what must hold anyway."""

from collections.abc import Callable
from typing import Any

import pytest

from throughtime.spec.tolerances import CENTRAL

Make = Callable[..., Any]
Check = Callable[..., None]
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
}
RANDOM = [name for name, options in VARIANTS.items() if options.keys() & {"zoneout", *DROPOUT}]
each_variant = pytest.mark.parametrize(
    "variant", [options | {"training": name in RANDOM} for name, options in VARIANTS.items()], ids=VARIANTS.keys()
)
each_random = pytest.mark.parametrize("variant", [VARIANTS[name] for name in RANDOM], ids=RANDOM)


@pytest.fixture
def check(problem: Make, central: Make, close: Check) -> Check:
    def run(lengths: list[int], **options: Any) -> None:
        given = problem(lengths, **options)
        close(given.gradients(), central(given.error, given.arguments(), steep=given.options.layer_norm), CENTRAL)

    return run


@each_variant
def test_two_bidirectional_layers_with_ragged_lengths(check: Check, variant: dict[str, Any]) -> None:
    check([1, 3, 2], hidden_size=(3, 3) if "proj_size" in variant else (3, 2), bidirectional=True, **variant)


@each_variant
def test_without_biases(check: Check, variant: dict[str, Any]) -> None:
    check([2, 3], bias=False, **variant)


@each_random
def test_without_masks(check: Check, variant: dict[str, Any]) -> None:
    check([3, 1, 2], **variant)


@each_variant
def test_seven_steps(check: Check, variant: dict[str, Any]) -> None:
    check([7], **variant)
