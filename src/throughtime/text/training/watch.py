"""A run that watches itself: steps whose loss or gradient is not finite, gradients that explode."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from throughtime.spec.errors import TrainingError
from throughtime.text.training.reporter import Reporter

EXPLOSION = 100.0
"""A gradient explodes when its norm is this many times the running mean of the norms before it."""
PATIENCE = 20
"""So many skipped steps in a row end the run: it will not recover on its own."""


class GradientWatch:
    """Decides for each step whether it may be taken, and says what it saw.

    State (the running mean of norms, failures in a row) steers messages and the end of a hopeless run, never weights.
    """

    def __init__(self, reporter: Reporter):
        self.reporter = reporter
        self.mean_norm: float | None = None
        self.failures = 0

    def allows(self, norm: Tensor, loss: Tensor, parameters: Iterable[tuple[str, nn.Parameter]], step: int) -> bool:
        """Whether to take step `step`, whose total gradient norm before clipping is `norm`.

        Raises:
            TrainingError: more than PATIENCE steps in a row were not finite.
        """
        value = float(norm)
        if not torch.isfinite(norm):
            self.failures += 1
            where = _first_not_finite(parameters)
            if self.failures == 1:  # the epoch's line, or the error that ends the run, counts those that follow
                self.reporter.warn(
                    f"step {step}: gradient of {where} is not finite (loss {float(loss):g}); steps are skipped until "
                    "it is finite again"
                )
            if self.failures > PATIENCE:
                raise TrainingError(
                    f"step {step}: the gradient of {where} stayed non-finite for {self.failures} steps in a row; "
                    "lower optimiser.learning_rate or set optimiser.clip_norm"
                )
            return False
        self.failures = 0
        if self.mean_norm is not None and value > EXPLOSION * self.mean_norm:
            where = max(parameters, key=lambda item: _norm(item[1]))[0]
            self.reporter.warn(
                f"step {step}: exploding gradient, norm {value:.3g} against {self.mean_norm:.3g} before, "
                f"largest in {where}"
            )
        self.mean_norm = value if self.mean_norm is None else 0.95 * self.mean_norm + 0.05 * value
        return True


def _norm(parameter: nn.Parameter) -> float:
    return 0.0 if parameter.grad is None else float(parameter.grad.norm())


def _first_not_finite(parameters: Iterable[tuple[str, nn.Parameter]]) -> str:
    for name, parameter in parameters:
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            return name
    return "the sum of all layers"
