"""Configurations: every recipe is one, and every fault is named with its key."""

from pathlib import Path

import pytest
import yaml

from throughtime.spec.errors import ConfigError
from throughtime.text.config import TrainConfig, parse_config, with_changes, with_values
from throughtime.text.config_file import parse_yaml, read_config
from throughtime.text.recipe import load_recipe, recipe_names, recipe_text


def test_the_recipes_of_the_design_are_there_default_first() -> None:
    assert recipe_names()[0] == "default"
    assert {"default", "fast", "article-lstm", "article-bag"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_a_configuration_with_comments(name: str) -> None:
    assert load_recipe(name).description
    assert recipe_text(name).startswith("#")


def test_the_default_recipe_shows_every_key() -> None:
    written = yaml.safe_load(recipe_text("default"))
    for section, fields in TrainConfig.model_fields.items():
        if section != "description":
            assert set(written[section]) == set(fields.annotation.model_fields), section  # type: ignore[union-attr]


def test_the_articles_hyper_parameters() -> None:
    lstm, bag = load_recipe("article-lstm"), load_recipe("article-bag")
    assert (lstm.preprocessing.max_tokens, lstm.encoder.embedding_size, lstm.encoder.hidden_size) == (100, 100, (128,))
    assert (lstm.optimiser.name, lstm.training.batch_size, lstm.training.epochs) == ("adam", 32, 10)
    assert lstm.training.test_fraction == 0.2
    assert lstm.training.validation_fraction == pytest.approx(0.1 * 0.8)
    assert (bag.preprocessing.max_tokens, bag.encoder.embedding_size, bag.encoder.kind) == (256, 128, "bag")
    assert (bag.optimiser.name, bag.optimiser.learning_rate) == ("adamw", 2e-5)
    assert (bag.training.batch_size, bag.training.epochs) == (32, 10)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"epoch": 3}}, r"training\.epoch: there is no such key"),
        ({"training": {"epochs": 0}}, r"training\.epochs: .*greater than or equal to 1, but is 0"),
        ({"encoder": {"segment": 10**30}}, r"encoder\.segment: .*less than or equal to 9007199254740992, but is 10"),
        ({"training": {"epochs": "many"}}, r"training\.epochs: .*integer.*'many'"),
        ({"regularisation": {"word_dropout": 1.0}}, r"regularisation\.word_dropout: .*less than 1"),
        ({"encoder": {"cell": "TRU"}}, r"encoder\.cell: .*'RNN', 'GRU' or 'LSTM'"),
        ({"encoder": {"cell": "GRU", "forget_bias": 1.0}}, r"forget_bias is an option of LSTM, but cell is GRU"),
        (
            {"encoder": {"nonlinearity": "relu"}},
            r"nonlinearity='relu' is an option of RNN, IndRNN; LSTM does not have it",
        ),
        ({"encoder": {"cell": "LSTM", "reset_after": False}}, r"reset_after=False is an option of GRU"),
        ({"encoder": {"segment": 9}, "head": {"pooling": "last"}}, r"segment .*pooling: last"),
        ({"encoder": {"kind": "bag"}}, r"kind: bag goes with head.pooling: mean"),
        ({"encoder": {"kind": "bag", "cell": "GRU"}, "head": {"pooling": "mean"}}, r"leave out cell"),
        (
            {"encoder": {"kind": "bag", "reset_after": False, "forget_bias": 1.0}, "head": {"pooling": "mean"}},
            r"leave out forget_bias, reset_after",
        ),
        ({"optimiser": {"learning_rate": float("inf")}}, r"optimiser\.learning_rate: .*finite number, but is inf"),
        ({"encoder": {"forget_bias": float("nan")}}, r"encoder\.forget_bias: .*finite number, but is nan"),
        ({"encoder": {"hidden_size": [0]}}, r"^mine\.yaml: encoder\.hidden_size\.0: .* but is 0$"),
        ({"encoder": {"hidden_size": []}}, r"^mine\.yaml: encoder\.hidden_size: should have at least one entry"),
        ({"encoder": {"hidden_size": True}}, r"^mine\.yaml: encoder\.hidden_size: .* but is True$"),
        ({"encoder": {"hidden_size": [True]}}, r"^mine\.yaml: encoder\.hidden_size\.0: .*integer, but is True$"),
        ({"training": {"epochs": True}}, r"^mine\.yaml: training\.epochs: should be an integer, but is True$"),
        ({"training": {"epochs": 2.5}}, r"^mine\.yaml: training\.epochs: should be an integer, but is 2\.5$"),
        ({"training": {"epochs": "2"}}, r"^mine\.yaml: training\.epochs: should be an integer, but is '2'$"),
        ({"preprocessing": {"vocabulary_size": 2**53}}, r"vocabulary_size: .*16777216"),
        ({"optimiser": {"learning_rate": True}}, r"optimiser\.learning_rate: should be a number, but is True$"),
        ({"optimiser": {"clip_norm": False}}, r"optimiser\.clip_norm: should be a number, but is False$"),
        ({"optimiser": {"betas": [0.9, False]}}, r"optimiser\.betas\.1: should be a number, but is False$"),
        ({"encoder": {"unknown_vectors": "zeros"}}, r"unknown_vectors: zeros is of tokens without a vector"),
        ({"encoder": {"vectors": "v.txt"}}, r"vectors: v.txt needs embedding_init: vectors"),
        ({"regularisation": {"segment_dropout": 0.5}}, r"there are no segments to drop"),
        ({"optimiser": {"name": "adam"}, "regularisation": {"weight_decay": 0.1}}, r"adamw, not adam"),
        ({"training": {"validation_fraction": 0.5, "test_fraction": 0.5}}, r"0\.5 \+ 0\.5 leaves nothing to train on"),
        (["training"], r"expected sections"),
    ],
)
def test_faults_are_named_in_one_line(values: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config(values, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def test_broken_yaml_names_its_line() -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml, line 2: not valid YAML"):
        parse_yaml("training:\n  epochs: {]\n", "mine.yaml")


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("training:\n  epochs: 7\nencoder: {}\ntraining:\n  patience: 2\n", 4, "training stands on line 1"),
        ("training:\n  epochs: 7\n  patience: 2\n  epochs: 8\n", 4, "epochs stands on line 2"),
        ("training: {epochs: 7, epochs: 7}\n", 1, "epochs stands on line 1"),
    ],
)
def test_a_key_that_is_written_twice_is_named_with_its_lines(text: str, line: int, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"^mine\.yaml, line {line}: not valid YAML \(the key {key} already\)"):
        parse_yaml(text, "mine.yaml")


def test_a_key_that_overrides_a_merged_one_is_no_repetition() -> None:
    config = parse_yaml("optimiser: {<<: {name: adam, warmup: 0.2}, name: adamw}\n", "mine.yaml")
    assert (config.optimiser.name, config.optimiser.warmup) == ("adamw", 0.2)


def test_random_vectors_leave_those_of_unknown_words_behind() -> None:
    changed = with_changes(load_recipe("article-lstm"), ["encoder.embedding_init=random"])
    assert changed.encoder.unknown_vectors == "random"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file"):
        read_config(tmp_path / "none.yaml")


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    assert read_config(tmp_path / "empty.yaml") == TrainConfig()


def test_changes_apply_on_top() -> None:
    changed = with_changes(
        load_recipe("default"), ["training.epochs=3", "encoder.hidden_size=[32, 16]", "description=x"]
    )
    assert changed.training.epochs == 3
    assert changed.encoder.hidden_size == (32, 16)
    assert changed.optimiser == load_recipe("default").optimiser
    assert with_values(changed, {}, "test") is changed
    assert with_values(changed, {"encoder.hidden_size": 128}, "test").encoder.hidden_size == (128,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.epochs", "expected section.key=value"),
        ("epochs=3", "epochs: there is no such key"),
        ("training.epochs.more=3", "is not a key"),
        ("training.epochs=[", "not a YAML value"),
        ("training={epochs: 3}", "training is a section, not a key; name a key in it"),
    ],
)
def test_wrong_changes_are_named(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_changes(TrainConfig.model_validate({"training": {"epochs": 2}}), [change])


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("training.epochs=3", "training.min_steps", None),
        ("encoder.cell=LSTM", "encoder.forget_bias", 1.0),
        (" encoder.cell = LSTM", "encoder.forget_bias", 1.0),
        ("head.pooling=last", "encoder.segment", None),
        ("head.pooling=last", "regularisation.segment_dropout", 0.0),
        ("encoder.segment=null", "regularisation.segment_dropout", 0.0),
        ("encoder.vectors=v.txt", "encoder.embedding_init", "vectors"),
        ("encoder.embedding_init=random", "encoder.unknown_vectors", "random"),
        ("optimiser.name=adam", "regularisation.embedding_decay", 0.0),
    ],
)
def test_a_choice_takes_along_what_follows_from_it(change: str, path: str, value: object) -> None:
    changed = with_changes(load_recipe("default"), [change])
    section, key = path.split(".")
    assert getattr(getattr(changed, section), key) == value


def test_another_cell_leaves_the_forget_bias_behind() -> None:
    for cell in ("GRU", "RNN"):
        assert with_changes(load_recipe("article-lstm"), [f"encoder.cell={cell}"]).encoder.forget_bias is None
    own = with_changes(load_recipe("article-lstm"), ["encoder.forget_bias=2.0"])
    assert with_changes(own, ["encoder.cell=LSTM"]).encoder.forget_bias == 2.0


def test_a_bag_is_told_of_no_key_that_was_not_given() -> None:
    with pytest.raises(ConfigError, match=r"leave out cell$"):
        with_changes(load_recipe("article-bag"), ["encoder.cell=GRU"])


def test_what_is_changed_itself_wins_over_what_follows() -> None:
    changed = with_changes(load_recipe("default"), ["training.epochs=3", "training.min_steps=100"])
    assert changed.training.min_steps == 100
