"""Parity: is the number of ones so far odd? One bit of memory, which every step may turn over.

Source: Minsky & Papert 1969, "Perceptrons"; as a problem for recurrent networks Hochreiter & Schmidhuber 1997.
"""

import math

import torch
from torch import Tensor

from throughtime.flow.tasks.task import Batch, Task, check_length


class Parity(Task):
    """Input: a random bit a step, as -1 or 1. Target (seq_len, batch): 1 where the number of ones up to there is odd.

    The loss is the mean over the steps that count, the score that of the last step. Who sees one bit alone, and which
    step it is at, knows the first answer and nothing of the others: ln 2 each.

    Args:
        length: steps.
        every_step: whether each step's answer counts; else the last one's alone, which is far harder to learn, since
            nothing tells the way there.
    """

    name = "parity"
    input_size = 1
    output_size = 1
    metric = "accuracy at the last step"

    def __init__(self, length: int = 20, *, every_step: bool = True) -> None:
        self.seq_len = check_length(self.name, length, 2)
        self.first = 0 if every_step else length - 1
        self.baseline = math.log(2) * ((length - 1) / length if every_step else 1.0)

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        bits = torch.randint(2, (self.seq_len, size), generator=generator)
        return Batch((2.0 * bits - 1.0).unsqueeze(2), (bits.cumsum(0) % 2).float())

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        scores, truth = output[self.first :, :, 0], target[self.first :]
        return torch.nn.functional.binary_cross_entropy_with_logits(scores, truth.to(output.dtype))

    def score(self, output: Tensor, target: Tensor) -> float:
        return float(((output[-1, :, 0] > 0) == (target[-1] > 0)).double().mean())
