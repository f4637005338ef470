"""The model card says what is so."""

from collections.abc import Callable
from typing import Any

import pytest

from throughtime.spec.model import EncoderConfig, HeadConfig, ModelConfig, PreprocessingConfig
from throughtime.text.training.card import model_card

Card = Callable[..., str]
SCORES = {"accuracy": 0.5, "count": 10}


@pytest.fixture
def card() -> Card:
    """card(metrics, labels=…, **facts) → the card of a small model."""

    def make(metrics: dict[str, Any], labels: tuple[str, ...] = ("neg", "pos"), **facts: Any) -> str:
        config = ModelConfig(
            labels=labels,
            label_kind="str",
            prior=(0.5, 0.5),
            preprocessing=PreprocessingConfig(max_tokens=100, cut="head"),
            encoder=EncoderConfig(kind="bag", vocabulary_size=10, embedding_size=4),
            head=HeadConfig(pooling="mean", num_classes=2),
            training=facts,
        )
        return model_card(config, metrics)

    return make


@pytest.mark.parametrize(
    ("metrics", "best_epoch", "sentence"),
    [
        ({"validation": SCORES}, 2, "The epoch that is kept, and anything else that was chosen, was chosen on the"),
        ({"validation": SCORES}, None, "The last epoch is kept, not the best. Where anything was chosen"),
        ({"validation": None}, None, "The last epoch is kept: there is no validation part to choose by."),
    ],
)
def test_it_says_how_the_epoch_was_chosen(
    metrics: dict[str, Any], best_epoch: int | None, sentence: str, card: Card
) -> None:
    text = card(metrics, best_epoch=best_epoch)
    assert sentence in text
    assert sum(line.startswith(("The epoch that is kept", "The last epoch")) for line in text.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tokenizer": "words", "min_count": 1}, "A word that stands in no training text, or is not among the 9,000"),
        ({"tokenizer": "words", "min_count": 2}, "A word that stands fewer than 2 times in the training texts, or"),
        ({"tokenizer": "characters", "min_count": 2}, "A character that stands fewer than 2 times"),
        ({"tokenizer": "bpe", "min_count": 2}, "words it puts together from pieces"),
        (None, "A word that training saw too rarely is unknown to it."),
    ],
)
def test_it_says_what_is_unknown(options: dict[str, Any] | None, sentence: str, card: Card) -> None:
    facts = {} if options is None else {"configuration": {"preprocessing": options | {"vocabulary_size": 9000}}}
    assert sentence in card({}, **facts)


def test_no_label_and_no_path_breaks_a_table_or_a_line(card: Card) -> None:
    labels = ("a|b", "c\nd`e", "``f")
    text = card({}, labels, corpus={"rows_by_class": {label: {"train": 3} for label in labels}}, data="x`\ny.csv")
    assert r"| corpus: rows by class | a\|b train 3, c\nd`e train 3, ``f train 3 |" in text.splitlines()
    assert r"Classes: `a|b`, `` c\nd`e ``, ``` ``f ```." in text
    assert r"Trained on `` x`\ny.csv `` with" in text
