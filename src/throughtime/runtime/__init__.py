"""Use of a trained model with NumPy alone: the model directory, encoding, recurrent layers, prediction, scores.

Imports no training library: torch, Lightning, pyarrow and pydantic need not be installed.
"""

from throughtime.runtime.predictor import Predictor as Predictor

__all__ = ["Predictor"]
