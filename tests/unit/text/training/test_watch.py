"""The watch refuses steps that are not finite, names the layer, and gives up in the end."""

import pytest
import torch
from torch import nn

from throughtime.spec.errors import TrainingError
from throughtime.text.training.reporter import Silent
from throughtime.text.training.watch import PATIENCE, GradientWatch


class Messages(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def model_with_gradients(value: float) -> nn.Module:
    model = nn.Linear(2, 2)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.1)
    assert model.bias.grad is not None
    model.bias.grad[0] = value
    return model


def ask(watch: GradientWatch, model: nn.Module, step: int) -> bool:
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    return watch.allows(norm, torch.tensor(1.0), model.named_parameters(), step)


def test_a_finite_step_is_taken_in_silence() -> None:
    messages = Messages()
    assert ask(GradientWatch(messages), model_with_gradients(0.1), 0)
    assert messages.warnings == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_is_refused_and_named(value: float) -> None:
    messages = Messages()
    assert not ask(GradientWatch(messages), model_with_gradients(value), 7)
    assert "step 7" in messages.warnings[0]
    assert "bias" in messages.warnings[0]


def test_an_explosion_is_reported_with_its_layer() -> None:
    messages = Messages()
    watch = GradientWatch(messages)
    assert ask(watch, model_with_gradients(0.1), 0)
    assert ask(watch, model_with_gradients(1000.0), 1)
    assert "exploding" in messages.warnings[0]
    assert "bias" in messages.warnings[0]


def test_repeated_failure_ends_the_run() -> None:
    watch = GradientWatch(Messages())
    for step in range(PATIENCE):
        assert not ask(watch, model_with_gradients(float("nan")), step)
    with pytest.raises(TrainingError, match=r"learning_rate"):
        ask(watch, model_with_gradients(float("nan")), PATIENCE)


def test_one_good_step_forgives() -> None:
    watch = GradientWatch(Messages())
    for step in range(3 * PATIENCE):
        assert ask(watch, model_with_gradients(float("nan") if step % 2 else 0.1), step) == (step % 2 == 0)
