"""What the configuration says of the optimiser is what it does."""

import numpy as np

from throughtime.text.batching import BucketBatches
from throughtime.text.config import parse_config
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.training.model import TextModel
from throughtime.text.training.module import TextTraining
from throughtime.text.training.reporter import Silent
from throughtime.text.training.rounds import RoundLoaders, plan_rounds


def test_betas_learning_rate_and_decay_are_those_of_the_configuration() -> None:
    values = {
        "optimiser": {"betas": [0.8, 0.95], "learning_rate": 0.01},
        "regularisation": {"embedding_decay": 0.5, "weight_decay": 0.25},
    }
    config = parse_config(values, "test")
    corpus = corpus_from_lists(
        ["a b", "b a"] * 2,
        ["x", "y"] * 2,
        validation_fraction=0.0,
        tokenizer=config.tokenizer_options(),
        preprocessing=config.preprocessing_config(),
    )
    model = TextModel(config.encoder_config(len(corpus.vocabulary)), config.head_config(2), config)
    loaders = RoundLoaders(
        corpus, BucketBatches(corpus.lengths, np.arange(4), batch_size=4), plan_rounds(epochs=1, steps_an_epoch=1)
    )
    groups = (
        TextTraining(model, config, loaders, seed=0, class_weights=None, reporter=Silent())
        .configure_optimizers()
        .param_groups
    )
    assert [tuple(group["betas"]) for group in groups] == [(0.8, 0.95)] * 3
    assert [group["lr"] for group in groups] == [0.01] * 3
    assert [group["weight_decay"] for group in groups] == [0.5, 0.25, 0.0]
