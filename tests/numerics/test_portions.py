"""A batch's gradient is the same whole and in portions."""

import numpy as np
import pytest
import torch

from throughtime.spec.tolerances import GRADIENT
from throughtime.text.batching import BucketBatches
from throughtime.text.config import TrainConfig, parse_config
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.encoded import Corpus
from throughtime.text.training import module as training_module
from throughtime.text.training.model import TextModel
from throughtime.text.training.module import TextTraining
from throughtime.text.training.reporter import Silent
from throughtime.text.training.rounds import RoundLoaders, plan_rounds


@pytest.fixture
def config() -> TrainConfig:
    values = {"encoder": {"embedding_size": 5, "hidden_size": [4], "segment": 3}}
    return parse_config(values | {"regularisation": {"label_smoothing": 0.1}}, "test")


@pytest.fixture
def corpus(config: TrainConfig) -> Corpus:
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(["a", "b", "c", "d"], size=length)) for length in draw.integers(1, 12, 30)]
    labels = [str(number) for number in np.arange(30) % 3]
    return corpus_from_lists(
        texts,
        labels,
        validation_fraction=0.0,
        tokenizer=config.tokenizer_options(),
        preprocessing=config.preprocessing_config(),
    )


@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.2, 1.0, 2.5], dtype=torch.float64)])
@pytest.mark.parametrize("tokens_at_once", [1, 25, 60])
def test_portions_add_up_to_the_batch(
    tokens_at_once: int,
    class_weights: torch.Tensor | None,
    config: TrainConfig,
    corpus: Corpus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model = TextModel(config.encoder_config(len(corpus.vocabulary)), config.head_config(3), config).double()
    rows = np.arange(30)
    loaders = RoundLoaders(
        corpus, BucketBatches(corpus.lengths, rows, batch_size=30), plan_rounds(epochs=1, steps_an_epoch=1)
    )
    module = TextTraining(model, config, loaders, seed=0, class_weights=class_weights, reporter=Silent())
    monkeypatch.setattr(module, "manual_backward", lambda loss: loss.backward())
    ids, lengths, labels = next(iter(loaders.loader(0)))

    scores = model(ids, lengths)
    module.loss(scores, labels).backward()
    expected = {
        name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    module.zero_grad()
    monkeypatch.setattr(training_module, "TOKENS_AT_ONCE", tokens_at_once)
    loss, in_portions = module.backward_in_portions(ids, lengths, labels)

    tolerance = GRADIENT["float64"]
    torch.testing.assert_close(in_portions, scores.detach(), rtol=tolerance.rtol, atol=tolerance.atol)
    assert float(loss) == pytest.approx(float(module.loss(scores.detach(), labels)), rel=1e-6)
    for name, parameter in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=tolerance.rtol, atol=tolerance.atol)
