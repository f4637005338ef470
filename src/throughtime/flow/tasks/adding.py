"""The adding problem: two numbers of a long sequence are marked; give their sum.

Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory"; with marks of 1 and 0 and no other values, as in Le et
al. 2015, "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units"; and one mark in each half, as in
Arjovsky, Shah & Bengio 2016, "Unitary Evolution Recurrent Neural Networks".
"""

import torch
from torch import Tensor

from throughtime.flow.tasks.task import Batch, Task, check_length


class Adding(Task):
    """Input: (a number from U(0, 1), 1 where marked or 0). Target (batch,): the sum of the two, due at the last step.

    Without memory the best answer is the mean, 1, and its squared error the variance of a sum of two, 2/12; but where
    the last input is the marked one, in 1 of T - ⌊T/2⌋ sequences, it is known, and 1/12 is left.
    """

    name = "adding"
    input_size = 2
    output_size = 1
    metric = "mean squared error"

    def __init__(self, length: int = 200) -> None:
        self.seq_len = check_length(self.name, length, 2)
        self.baseline = 1 / 6 - 1 / (12 * (length - length // 2))

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        numbers = torch.rand(self.seq_len, size, generator=generator)
        half = self.seq_len // 2
        marks = torch.zeros_like(numbers)
        marks.scatter_(0, torch.randint(half, (1, size), generator=generator), 1.0)
        marks.scatter_(0, torch.randint(half, self.seq_len, (1, size), generator=generator), 1.0)
        return Batch(torch.stack([numbers, marks], dim=2), (numbers * marks).sum(0))

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return torch.nn.functional.mse_loss(output[-1, :, 0], target)

    def score(self, output: Tensor, target: Tensor) -> float:
        return float(self.loss(output, target).detach())
