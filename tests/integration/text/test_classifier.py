"""`TextClassifier`: scikit-learn's conventions, labels of every type, and the same numbers as the command line's."""

import copy
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from throughtime.cli.main import main
from throughtime.runtime import Predictor
from throughtime.runtime.model_dir import read_model_directory
from throughtime.spec.errors import ConfigError, DataError, ModelError, OptionError, OutputError
from throughtime.text.classifier import TextClassifier

Make = Callable[..., TextClassifier]
GOOD, BAD = ["wonderful", "warm", "brilliant"], ["dull", "awful", "tedious"]
TEXTS = [f"the film number {i} was {(GOOD if i % 2 else BAD)[i % 3]} in the end" for i in range(80)]
WORDS = ["pos" if i % 2 else "neg" for i in range(80)]
LABELS: dict[str, list[Any]] = {
    "str": WORDS,
    "int": [10 if word == "pos" else -2 for word in WORDS],
    "bool": [word == "pos" for word in WORDS],
}


@pytest.fixture(scope="module")
def make() -> Make:
    """Makes a classifier of a few weights that trains in a fraction of a second."""

    def classifier(**parameters: Any) -> TextClassifier:
        small: dict[str, Any] = {
            "embedding_size": 8,
            "hidden_size": 6,
            "epochs": 2,
            "batch_size": 8,
            "learning_rate": 0.02,
            "overrides": {"encoder.embedding_init": "random"},
        }
        return TextClassifier(**small | parameters)

    return classifier


@pytest.fixture(scope="module")
def fitted(make: Make) -> TextClassifier:
    return make(epochs=16).fit(TEXTS, WORDS)


def test_it_learns(fitted: TextClassifier) -> None:
    probabilities = fitted.predict_proba(TEXTS)
    assert probabilities.shape == (80, 2)
    assert np.allclose(probabilities.sum(axis=1), 1.0)
    assert list(fitted.predict(TEXTS)) == [fitted.classes_[best] for best in probabilities.argmax(axis=1)]
    assert list(fitted.predict(["a wonderful brilliant film", "an awful dull film"])) == ["pos", "neg"]
    assert fitted.score(TEXTS, WORDS) == np.mean(fitted.predict(TEXTS) == np.array(WORDS)) > 0.9
    assert [row["epoch"] for row in fitted.history_] == list(range(1, 17))
    assert fitted.n_features_in_ == 1


def test_weights_of_samples_weigh(fitted: TextClassifier) -> None:
    wrong = ["neg", *WORDS[1:]] if fitted.predict(TEXTS[:1])[0] == "pos" else ["pos", *WORDS[1:]]
    only_first = [1.0] + [0.0] * 79
    assert fitted.score(TEXTS, wrong, only_first) == 0.0
    assert fitted.score(TEXTS, fitted.predict(TEXTS), only_first) == 1.0


def test_epochs_is_the_number_of_epochs(make: Make) -> None:
    """The recipe asks for 1500 steps at least; a number of epochs that was given counts more."""
    assert len(make(epochs=3).fit(TEXTS, WORDS).history_) == 3


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("form", [list, np.array, lambda values: np.array(values, dtype=object), iter])
def test_labels_keep_their_type(kind: str, form: Callable[..., Any], make: Make, tmp_path: Path) -> None:
    labels = LABELS[kind]
    model = make(epochs=1).fit(np.array(TEXTS), form(labels))
    expected = sorted(set(labels))
    assert model.classes_.tolist() == expected
    assert {type(value) for value in model.classes_.tolist()} == {type(labels[0])}
    assert model.config.label_kind == kind
    model.save(tmp_path / "model")
    loaded = TextClassifier.load(tmp_path / "model")
    assert loaded.classes_.tolist() == expected
    assert loaded.classes_.dtype == model.classes_.dtype
    assert loaded.predict(TEXTS).tolist() == model.predict(TEXTS).tolist()
    assert loaded.score(TEXTS, labels) == model.score(TEXTS, form(labels))


def test_saved_loaded_and_on_the_command_line_it_is_the_same_model(
    fitted: TextClassifier, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fitted.save(tmp_path / "model")
    expected = fitted.predict_proba(TEXTS)
    assert np.array_equal(TextClassifier.load(tmp_path / "model").predict_proba(TEXTS), expected)
    assert np.array_equal(Predictor.load(tmp_path / "model").predict_proba(TEXTS), expected)
    assert main(["predict", str(tmp_path / "model"), *TEXTS]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["label"] for row in rows] == fitted.predict(TEXTS).tolist()
    assert [list(row["probabilities"].values()) for row in rows] == expected.round(6).tolist()
    again = TextClassifier.load(tmp_path / "model")
    again.save(tmp_path / "copy")
    saved = read_model_directory(tmp_path / "model"), read_model_directory(tmp_path / "copy")
    assert (saved[0].config, saved[0].metrics, saved[0].history) == (
        saved[1].config,
        saved[1].metrics,
        saved[1].history,
    )
    with pytest.raises(OutputError, match="holds a model already"):
        fitted.save(tmp_path / "model")
    fitted.save(tmp_path / "model", force=True)


def test_the_same_seed_gives_the_same_probabilities(make: Make) -> None:
    made = [make(seed=seed).fit(TEXTS, WORDS).predict_proba(TEXTS) for seed in (3, np.int64(3), 4)]
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_fit_again_starts_afresh(make: Make) -> None:
    model = make().fit(TEXTS, LABELS["int"])
    assert np.array_equal(model.fit(TEXTS, WORDS).predict_proba(TEXTS), make().fit(TEXTS, WORDS).predict_proba(TEXTS))
    assert model.classes_.tolist() == ["neg", "pos"]


def test_a_fitted_model_is_pickled_and_copied(fitted: TextClassifier) -> None:
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert np.array_equal(other.predict_proba(TEXTS), fitted.predict_proba(TEXTS))
        assert other.get_params() == fitted.get_params()
        assert repr(other) == repr(fitted)
    unfitted = pickle.loads(pickle.dumps(TextClassifier(epochs=3)))
    assert unfitted.epochs == 3
    with pytest.raises(ModelError, match="not fitted"):
        unfitted.predict(TEXTS)


def test_parameters(make: Make) -> None:
    model = TextClassifier("fast", epochs=3)
    assert repr(model) == "TextClassifier(epochs=3, recipe='fast')"
    assert model.set_params(epochs=5, cell="GRU") is model
    assert (model.get_params()["epochs"], model.get_params(deep=False)["cell"]) == (5, "GRU")
    with pytest.raises(OptionError, match=r"there is no parameter 'epoch'; there are batch_size, .*epochs"):
        model.set_params(epoch=1)
    shaped = make(hidden_size=[5, 4], cell="GRU", bidirectional=False, pooling="mean", max_tokens=7).fit(TEXTS, WORDS)
    encoder = shaped.config.encoder
    assert (encoder.hidden_size, encoder.cell, encoder.bidirectional) == ((5, 4), "GRU", False)
    assert (shaped.config.head.pooling, shaped.config.preprocessing.max_tokens) == ("mean", 7)
    size = np.int64(5)
    numpy = make(hidden_size=size, epochs=np.int64(1), learning_rate=np.float64(0.01)).fit(TEXTS, WORDS)
    listed = make(hidden_size=[size], epochs=1, learning_rate=0.01).fit(TEXTS, WORDS)
    assert numpy.config.encoder.hidden_size == listed.config.encoder.hidden_size == (5,)
    assert len(numpy.history_) == 1
    overridden = make(overrides={"encoder.embedding_init": "random", "training.epochs": 1}).fit(TEXTS, WORDS)
    assert len(overridden.history_) == 1


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text("encoder: {embedding_size: 4, hidden_size: [3]}\ntraining: {epochs: 1}\n")
    for given in (recipe, str(recipe)):
        model = TextClassifier(given).fit(TEXTS, WORDS)  # type: ignore[arg-type]
        assert model.config.encoder.hidden_size == (3,)
        model.save(tmp_path / "model", force=True)


def test_it_is_trained_on_all_texts_that_it_is_given(make: Make, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("training: {test_fraction: 0.5, validation_fraction: 0.1}\n")
    model = make(recipe=str(recipe), overrides={"training.max_steps": 2}).fit(TEXTS, WORDS)
    assert (model.config.training["corpus"]["rows_train"], model.config.training["corpus"]["rows_test"]) == (72, 0)
    assert model.config.training["configuration"]["training"]["test_fraction"] == 0.0


def test_pre_trained_vectors(make: Make, tmp_path: Path) -> None:
    lines = [f"{word} " + " ".join([f"{place / 10}"] * 8) for place, word in enumerate([*GOOD, *BAD])]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n")
    model = make(overrides=None, vectors=tmp_path / "vectors.txt", learning_rate=1e-12).fit(TEXTS, WORDS)
    assert model.config.training["embedding"]["vectors_found"] == 6
    model.save(tmp_path / "model")
    saved = read_model_directory(tmp_path / "model")
    place = json.loads(saved.tokenizer_json)["model"]["vocab"]["brilliant"]
    assert saved.tensors["embedding.weight"][place] == pytest.approx([0.2] * 8, abs=1e-3)
    (tmp_path / "vectors.txt").write_text("warm 1 2 3\n")
    with pytest.raises(DataError, match=r"vectors\.txt, line 1: its vectors have 3 numbers, but embedding_size is 8"):
        model.fit(TEXTS, WORDS)


def test_groups_are_never_split(make: Make) -> None:
    groups = [i // 8 for i in range(80)]
    model = make(epochs=1, validation_fraction=0.25).fit(TEXTS, WORDS, groups=np.array(groups))
    corpus = model.config.training["corpus"]
    assert corpus["groups"] == 10
    assert corpus["rows_validation"] % 8 == 0 < corpus["rows_validation"]


def test_texts_without_tokens_get_the_prior(fitted: TextClassifier) -> None:
    prior = list(fitted.config.prior)
    assert fitted.predict_proba(["", " \n\t", "\x00"]).tolist() == [prior] * 3
    assert fitted.predict_proba([]).shape == (0, 2)
    assert fitted.predict([]).dtype == fitted.classes_.dtype


@pytest.mark.parametrize(
    ("texts", "labels", "complaint"),
    [
        ("one text", ["a"], r"X must be a sequence of strings, but is one string; give \[text\]"),
        (["a", 3], ["a", "b"], r"X must hold strings, but X\[1\] is int"),
        (["a", None], ["a", "b"], r"X\[1\] is NoneType"),
        ([b"a"], ["a"], r"X\[0\] is bytes"),
        (np.array([["a"], ["b"]]), ["a", "b"], "X must hold one string a text, but has 2 dimensions"),
        (["a", "b", "c"], ["a", "b"], "X and y must have the same length, but 3 != 2"),
        (TEXTS, ["a", 1] * 40, r"one type, but y\[0\] is 'a' \(str\) and y\[1\] is 1 \(int\)"),
        (TEXTS, [True, 1] * 40, r"one type, but y\[0\] is True \(bool\) and y\[1\] is 1 \(int\)"),
        (TEXTS, ["a", None] * 40, r"y\[1\] is NoneType"),
        (TEXTS, [0.5, 1.5] * 40, "y must hold strings, ints or bools, but holds floats"),
        (TEXTS, np.zeros((80, 2), dtype=int), r"y\[0\] is ndarray"),
        (TEXTS, ["a"] * 80, "every row has the label 'a'"),
        ([], [], "holds no rows"),
        (["", " "] * 40, WORDS, "hold no token"),
    ],
)
def test_bad_texts_and_labels(texts: Any, labels: Any, complaint: str, make: Make) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        make().fit(texts, labels)
    assert "\n" not in str(caught.value)


def test_bad_groups(make: Make) -> None:
    with pytest.raises(DataError, match="X and groups must have the same length, but 80 != 1"):
        make().fit(TEXTS, WORDS, groups=[1])
    for missing in (None, float("nan")):
        with pytest.raises(DataError, match=r"groups\[1\] is missing"):
            make().fit(TEXTS, WORDS, groups=[1, missing] * 40)


@pytest.mark.parametrize(
    ("parameters", "error", "complaint"),
    [
        ({"recipe": "nonsense"}, ConfigError, "there is no recipe 'nonsense'; choose one of default"),
        ({"cell": "QRNN"}, ConfigError, r"encoder\.cell: .*'RNN', 'GRU' or 'LSTM', but is 'QRNN'"),
        ({"epochs": 0}, ConfigError, r"training\.epochs"),
        ({"overrides": {"training.epoch": 3}}, ConfigError, r"training\.epoch: there is no such key"),
        (
            {"overrides": {"training.test_fraction": 0.2}},
            ConfigError,
            r"test_fraction is 0\.2, but fit has no test part",
        ),
        ({"hidden_size": True}, ConfigError, r"encoder\.hidden_size\.0: should be an integer, but is True"),
        ({"seed": -1}, OptionError, "seed must be a whole number, at least 0, but is -1"),
        ({"seed": 1.5}, OptionError, "seed must be a whole number"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], error: type[Exception], complaint: str, make: Make) -> None:
    with pytest.raises(error, match=complaint):
        make(**parameters).fit(TEXTS, WORDS)


def test_not_fitted(tmp_path: Path) -> None:
    model = TextClassifier()
    for use in (
        lambda: model.predict(TEXTS),
        lambda: model.predict_proba(TEXTS),
        lambda: model.score(TEXTS, WORDS),
        lambda: model.save(tmp_path / "model"),
        lambda: model.config,
    ):
        with pytest.raises(ModelError, match="not fitted yet; call fit, or load a saved one"):
            use()
    with pytest.raises(ModelError, match="does not exist"):
        TextClassifier.load(tmp_path / "model")


def test_not_fitted_is_what_scikit_learn_looks_for() -> None:
    model = TextClassifier()
    for kind in (ValueError, AttributeError):
        with pytest.raises(kind, match="not fitted yet"):
            model.predict(TEXTS)
    assert not hasattr(model, "config")


def test_weights_of_nothing_are_refused(fitted: TextClassifier) -> None:
    with pytest.raises(DataError, match="sample_weight adds up to 0, so that no text counts"):
        fitted.score(TEXTS[:2], WORDS[:2], sample_weight=[0, 0])


@pytest.mark.parametrize("groups", [None, ["one"] * 80])
def test_no_file_is_advised_where_none_can_be_given(groups: list[str] | None, make: Make) -> None:
    texts = ["good"] * 80 if groups is None else TEXTS
    with pytest.raises(DataError, match="no rows can be held out for validation") as caught:
        make().fit(texts, WORDS, groups)
    assert "file" not in str(caught.value)
    assert "column" not in str(caught.value)


def test_bad_calls_of_score(fitted: TextClassifier) -> None:
    with pytest.raises(DataError, match="X and y must have the same length, but 80 != 1"):
        fitted.score(TEXTS, ["pos"])
    with pytest.raises(DataError, match="labels of type int, but the classifier was fitted on str"):
        fitted.score(TEXTS, LABELS["int"])
    with pytest.raises(DataError, match="X and sample_weight must have the same length"):
        fitted.score(TEXTS, WORDS, [1.0])
    with pytest.raises(DataError, match="X is empty"):
        fitted.score([], [])
    with pytest.raises(DataError, match=r"give \[text\]"):
        fitted.predict("one text")


class TestWithScikitLearn:
    """What scikit-learn asks of an estimator."""

    def test_clone(self, fitted: TextClassifier) -> None:
        base = pytest.importorskip("sklearn.base")
        fresh = base.clone(fitted)
        assert fresh.get_params() == fitted.get_params()
        assert not hasattr(fresh, "classes_")
        assert base.is_classifier(fitted)

    def test_pipeline(self, make: Make) -> None:
        pipeline = pytest.importorskip("sklearn.pipeline")
        preprocessing = pytest.importorskip("sklearn.preprocessing")
        whole = pipeline.Pipeline([("trim", preprocessing.FunctionTransformer(_trimmed)), ("model", make())])
        whole.set_params(model__epochs=16)
        whole.fit(TEXTS, WORDS)
        assert whole.score(TEXTS, WORDS) == whole["model"].score(_trimmed(TEXTS), WORDS) > 0.9
        assert list(whole.classes_) == ["neg", "pos"]
        repr(whole)

    @pytest.mark.parametrize("kind", LABELS)
    def test_cross_validation(self, kind: str, make: Make) -> None:
        selection = pytest.importorskip("sklearn.model_selection")
        scores = selection.cross_val_score(make(epochs=10), TEXTS, LABELS[kind], cv=2, error_score="raise")
        assert scores.shape == (2,)
        assert (scores > 0.6).all()

    def test_grid_search(self, make: Make) -> None:
        selection = pytest.importorskip("sklearn.model_selection")
        grid = selection.GridSearchCV(
            make(), {"hidden_size": np.array([3, 6]), "epochs": [1, 8]}, cv=2, scoring="neg_log_loss",
            error_score="raise",
        ).fit(TEXTS, WORDS)  # fmt: skip
        assert grid.best_params_["epochs"] == 8
        assert grid.predict_proba(TEXTS).shape == (80, 2)

    def test_not_fitted_is_known(self, make: Make, fitted: TextClassifier) -> None:
        validation = pytest.importorskip("sklearn.utils.validation")
        exceptions = pytest.importorskip("sklearn.exceptions")
        validation.check_is_fitted(fitted)
        with pytest.raises(exceptions.NotFittedError):
            validation.check_is_fitted(make())


def _trimmed(texts: Any) -> list[str]:
    return [text.strip() for text in texts]


def test_it_works_without_scikit_learn_and_pandas() -> None:
    program = f"""
import sys
sys.modules["sklearn"] = sys.modules["pandas"] = None  # their import fails, as where they are not installed
from throughtime.text.classifier import TextClassifier
model = TextClassifier(embedding_size=4, hidden_size=3, epochs=1, overrides={{"encoder.embedding_init": "random"}})
texts, labels = {TEXTS!r}, {WORDS!r}
model.fit(texts, labels)
print(model.score(texts, labels), model, model.predict(texts[:1]))
assert sys.modules["sklearn"] is sys.modules["pandas"] is None
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_verbose_shows_progress(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    make(verbose=True).fit(TEXTS, WORDS)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "2 epochs" in shown.err
    make().fit(TEXTS, WORDS)
    assert capfd.readouterr() == ("", "")
