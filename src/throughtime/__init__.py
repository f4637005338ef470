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

if TYPE_CHECKING:
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
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'throughtime' has no attribute {name!r}")
