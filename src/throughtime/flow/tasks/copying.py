"""Copy memory: read some symbols, wait, and write them down when told to.

Source: Hochreiter & Schmidhuber 1997; in the form of Arjovsky et al. 2016, "Unitary Evolution Recurrent Neural
Networks".
"""

import math
from typing import Final

import torch
from torch import Tensor

from throughtime.flow.tasks.task import Batch, Task, check_length

SYMBOLS: Final = 8
COPIED: Final = 10
_BLANK: Final = SYMBOLS
_GO: Final = SYMBOLS + 1


class CopyMemory(Task):
    """Input, one of 10 categories a step (8 symbols, blank, go): 10 symbols, lag - 1 blanks, go, 10 blanks.

    Target (seq_len, batch): blank for lag + 10 steps, then the 10 symbols; the loss is the mean cross-entropy of all
    lag + 20 steps. Who has no memory, but knows which step it is at, is sure of the blanks and at a loss for the
    symbols: 10 ln 8 / (lag + 20).
    """

    name = "copy"
    input_size = SYMBOLS + 2
    output_size = SYMBOLS + 1
    metric = "accuracy of the copied symbols"

    def __init__(self, length: int = 100) -> None:
        """`length`: the lag, steps between a symbol and its copy less the 10 of the symbols themselves."""
        self.lag = check_length(self.name, length, 1)
        self.seq_len = self.lag + 2 * COPIED
        self.baseline = COPIED * math.log(SYMBOLS) / self.seq_len

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        symbols = torch.randint(SYMBOLS, (COPIED, size), generator=generator)
        blanks = torch.full((self.seq_len - COPIED, size), _BLANK)
        target = torch.cat([blanks, symbols])
        shown = torch.cat([symbols, blanks])
        shown[self.seq_len - COPIED - 1] = _GO
        return Batch(torch.nn.functional.one_hot(shown, self.input_size).float(), target)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def score(self, output: Tensor, target: Tensor) -> float:
        right = output[-COPIED:].argmax(2) == target[-COPIED:]
        return float(right.double().mean())
