"""Every cell as a function of one step, on plain torch operations: `direction_cell` makes it."""

from throughtime.nn.cells.cell import Cell, Gates, Weights, Zone
from throughtime.nn.cells.direction import direction_cell, kinds

__all__ = ["Cell", "Gates", "Weights", "Zone", "direction_cell", "kinds"]
