"""The learning rate as a function of the step alone, so that a resumed run needs no state to continue it."""

import math

from throughtime.text.config import Optimiser


def learning_rate(config: Optimiser, step: int, total_steps: int) -> float:
    """Rate for step `step` (from 0): linear from 0 during the share `warmup` of all steps, then by the schedule.

    "linear" and "cosine" fall to zero at the end of the run; "constant" stays.
    """
    done = (step + 1) / (total_steps + 1)
    if done < config.warmup:
        return config.learning_rate * done / config.warmup
    rest = (done - config.warmup) / (1.0 - config.warmup)
    if config.schedule == "linear":
        return config.learning_rate * (1.0 - rest)
    if config.schedule == "cosine":
        return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * rest))
    return config.learning_rate
