"""The benchmarks are no part of the package: their folder's parent is made importable here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
