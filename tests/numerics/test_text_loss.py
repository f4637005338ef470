"""The loss of text models: by hand, against torch where torch has the same, and where its minimum is."""

import pytest
import torch

from throughtime.spec.tolerances import OUTPUT
from throughtime.text.training.loss import TextLoss

ROW = OUTPUT["float64"]
SCORES = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 2, 1, 0, 0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 7.0]])
def test_by_hand(smoothing: float, weights: list[float] | None) -> None:
    class_weights = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    loss = TextLoss(class_weights, smoothing)
    total, mass = 0.0, 0.0
    for scores, label in zip(SCORES, LABELS.tolist(), strict=True):
        log_p = scores.log_softmax(0).tolist()
        of_text = -sum(((1 - smoothing) * (k == label) + smoothing / 3) * log_p[k] for k in range(3))
        weight = 1.0 if weights is None else weights[label]
        total, mass = total + weight * of_text, mass + weight
    assert float(loss(SCORES, LABELS)) == pytest.approx(total / mass, rel=ROW.rtol)
    assert loss.mass(LABELS) == pytest.approx(mass)


@pytest.mark.parametrize(
    ("weights", "smoothing"), [(None, 0.1), (torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64), 0.0)]
)
def test_is_torchs_own_without_weights_or_without_smoothing(weights: torch.Tensor | None, smoothing: float) -> None:
    expected = torch.nn.functional.cross_entropy(SCORES, LABELS, weights, label_smoothing=smoothing)
    torch.testing.assert_close(TextLoss(weights, smoothing)(SCORES, LABELS), expected, rtol=ROW.rtol, atol=ROW.atol)


def test_a_text_of_a_frequent_class_is_best_predicted_as_that_class() -> None:
    # One class a hundred times as frequent: torch's own has the minimum at 72 % for the rare one.
    loss = TextLoss(torch.tensor([0.505, 50.5]), 0.05)
    probabilities = torch.linspace(0.001, 0.999, 999)
    values = [float(loss(torch.stack([1 - p, p]).log()[None], torch.tensor([0]))) for p in probabilities]
    best = float(probabilities[values.index(min(values))])
    assert best == pytest.approx(0.025, abs=0.001)


def test_the_weights_are_saved_as_those_of_torchs_loss_are() -> None:
    # A run's state from before has them under this name.
    assert list(TextLoss(torch.ones(3), 0.1).state_dict()) == list(
        torch.nn.CrossEntropyLoss(torch.ones(3)).state_dict()
    )
