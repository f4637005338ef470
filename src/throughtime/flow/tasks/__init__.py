"""The classic tasks that tell recurrent cells apart, and an experiment that trains one on one of them.

`python -m throughtime.flow.tasks --help` runs them from the command line.
"""

from throughtime.flow.tasks.adding import Adding
from throughtime.flow.tasks.copying import CopyMemory
from throughtime.flow.tasks.digits import SequentialDigits
from throughtime.flow.tasks.experiment import Experiment, Outcome, run, scored_sequences
from throughtime.flow.tasks.parity import Parity
from throughtime.flow.tasks.task import Batch, Task

__all__ = [
    "Adding",
    "Batch",
    "CopyMemory",
    "Experiment",
    "Outcome",
    "Parity",
    "SequentialDigits",
    "Task",
    "run",
    "scored_sequences",
]
