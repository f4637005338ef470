"""throughtime: train, explain, diagnose and serve recurrent networks on the machine you have.

The names below are imported on first use, so that prediction never loads torch and `--help` loads almost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__version__: Final = "0.1.0"

_HOMES: Final = {
    "RNN": "throughtime.nn",
    "GRU": "throughtime.nn",
    "LSTM": "throughtime.nn",
    "MinGRU": "throughtime.nn",
    "MinLSTM": "throughtime.nn",
    "IndRNN": "throughtime.nn",
    "TextClassifier": "throughtime.text.classifier",
    "Predictor": "throughtime.runtime",
    "ThroughtimeError": "throughtime.spec.errors",
}

_ROOMS: Final = frozenset({"flow", "nn"})
OF_TRAIN: Final = frozenset({"torch", "lightning", "pyarrow", "pydantic", "yaml", "scipy"})
"""What the extra `train` brings, by the names one imports."""

if TYPE_CHECKING:
    from throughtime import flow as flow
    from throughtime import nn as nn
    from throughtime.nn import GRU as GRU
    from throughtime.nn import LSTM as LSTM
    from throughtime.nn import RNN as RNN
    from throughtime.nn import IndRNN as IndRNN
    from throughtime.nn import MinGRU as MinGRU
    from throughtime.nn import MinLSTM as MinLSTM
    from throughtime.runtime import Predictor as Predictor
    from throughtime.spec.errors import ThroughtimeError as ThroughtimeError
    from throughtime.text.classifier import TextClassifier as TextClassifier

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "IndRNN",
    "MinGRU",
    "MinLSTM",
    "Predictor",
    "TextClassifier",
    "ThroughtimeError",
    "__version__",
    "flow",
    "nn",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES and name not in _ROOMS:
        raise AttributeError(f"module 'throughtime' has no attribute {name!r}")
    try:
        return import_module(f"throughtime.{name}") if name in _ROOMS else getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in OF_TRAIN:
            raise
        message = f"throughtime.{name} needs {missing}, which is not installed: pip install 'throughtime[train]'"
        raise ModuleNotFoundError(message, name=error.name) from error
