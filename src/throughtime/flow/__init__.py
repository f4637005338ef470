"""Gradient flow through time: measure it, judge it, draw it.

>>> flow = throughtime.flow.measure(layer, input)  # doctest: +SKIP
>>> print(flow)  # doctest: +SKIP
>>> flow.plot("flow.png")  # doctest: +SKIP
"""

from throughtime.flow.measure import Measurable, measure
from throughtime.flow.result import DirectionFlow, GradientFlow
from throughtime.flow.settings import Settings
from throughtime.flow.spread import Spread

__all__ = ["DirectionFlow", "GradientFlow", "Measurable", "Settings", "Spread", "measure"]
