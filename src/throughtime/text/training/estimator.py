"""Training on texts in memory, for `TextClassifier`: lists in, the content of a model directory out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from throughtime.runtime.model_dir import ModelDirectory
from throughtime.spec.errors import ConfigError
from throughtime.spec.model import LabelKind
from throughtime.text.config import with_values
from throughtime.text.config_file import read_config
from throughtime.text.corpus import corpus_from_lists
from throughtime.text.recipe import load_recipe, recipe_names
from throughtime.text.request import check_vectors
from throughtime.text.training.export import export
from throughtime.text.training.fitting import fit
from throughtime.text.training.reporter import Reporter


def fit_lists(
    texts: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str] | None,
    *,
    kind: LabelKind,
    recipe: str,
    changes: Mapping[str, Any],
    seed: int,
    reporter: Reporter,
) -> ModelDirectory:
    """Trains as the command line does, with nothing written to disk.

    Args:
        recipe: a recipe's name, or the path of a YAML configuration; a test part that it holds out is trained on.
        changes: "section.key": value, applied to it.
    Raises:
        ConfigError, DataError, TrainingError: see there.
    """
    base = load_recipe(recipe) if recipe in recipe_names() or not Path(recipe).exists() else read_config(Path(recipe))
    config = with_values(base, changes, "TextClassifier")
    if share := changes.get("training.test_fraction"):
        raise ConfigError(
            f"TextClassifier: training.test_fraction is {share}, but fit has no test part: it trains on all texts "
            "that it is given; keep some back and give them to score"
        )
    config = with_values(config, {"training.test_fraction": 0.0}, "TextClassifier")
    check_vectors(config.encoder)
    corpus = corpus_from_lists(
        texts,
        labels,
        groups=groups,
        label_kind=kind,
        tokenizer=config.tokenizer_options(),
        preprocessing=config.preprocessing_config(),
        validation_fraction=config.training.validation_fraction,
        seed=seed,
        progress=reporter.stage,
    )
    fitted = fit(corpus, config, seed=seed, reporter=reporter, scratch=None, resume=False)
    if fitted.failure is not None:
        raise fitted.failure
    facts = {"recipe": recipe, "data": "texts given in memory"}
    model, _ = export(corpus, config, fitted, seed=seed, facts=facts)
    return model
