"""A whole run: what it writes, what it may see, and what the saved model says afterwards."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import CrossEntropyLoss

from throughtime.runtime import Predictor
from throughtime.runtime.model_dir import read_model_directory
from throughtime.spec.errors import ConfigError, DataError, OutputError, TrainingError
from throughtime.spec.tolerances import PROBABILITY
from throughtime.text.config import TrainConfig
from throughtime.text.reading import Columns
from throughtime.text.request import TrainRequest
from throughtime.text.splitting import TRAIN, VALIDATION
from throughtime.text.training.evaluation import probabilities
from throughtime.text.training.model import TextModel
from throughtime.text.training.module import TextTraining
from throughtime.text.training.reporter import EpochRecord, Silent
from throughtime.text.training.run import corpus_of, train

Make = Callable[..., TrainRequest]
MakeConfig = Callable[..., TrainConfig]

MODELS: dict[str, dict[str, dict[str, Any]]] = {
    "lstm in segments": {},
    "lstm, whole texts": {"encoder": {"segment": None}, "regularisation": {"segment_dropout": 0.0}},
    "lstm, last": {
        "encoder": {"segment": None, "forget_bias": 1.0},
        "regularisation": {"segment_dropout": 0.0},
        "head": {"pooling": "last"},
    },
    "gru, two layers of two sizes, attention": {
        "encoder": {"cell": "GRU", "hidden_size": [5, 7]},
        "head": {"pooling": "attention"},
    },
    "gru, reset before": {"encoder": {"cell": "GRU", "reset_after": False}, "head": {"pooling": "mean"}},
    "relu rnn, one direction": {
        "encoder": {"cell": "RNN", "nonlinearity": "relu", "bidirectional": False},
        "head": {"pooling": "max"},
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_directory_gives_the_trainers_probabilities(name: str, request_for: Make, config: MakeConfig) -> None:
    request = request_for(config=config(**MODELS[name], training={"epochs": 1}))
    train(request, Silent())
    assert_gives_the_trainers_probabilities(request)


def assert_gives_the_trainers_probabilities(request: TrainRequest) -> None:
    corpus = corpus_of(request, Silent())
    model = read_model_directory(request.out)
    torch_model = TextModel(model.config.encoder, model.config.head, request.config)
    torch_model.load_tensors(model.tensors)
    rows = np.arange(len(corpus.labels))
    expected = probabilities(torch_model, corpus, rows)
    texts = [line.split(",")[0] for line in Path(request.data).read_text().splitlines()[1:]]
    got = Predictor.load(request.out).predict_proba(texts)
    np.testing.assert_allclose(got, expected, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)


def test_the_bag_learns_and_gives_the_trainers_probabilities(request_for: Make, config: MakeConfig) -> None:
    values = {"kind": "bag", "embedding_size": 8}
    bag = TrainConfig.model_validate(
        {
            "encoder": values,
            "head": {"pooling": "mean"},
            "optimiser": {"learning_rate": 0.05},
            "training": {"epochs": 6, "batch_size": 8},
        }
    )
    request = request_for(config=bag)
    result = train(request, Silent())
    assert result.validation is not None
    assert result.validation.accuracy > 0.8
    assert_gives_the_trainers_probabilities(request)


def test_it_learns_and_says_how_well(request_for: Make, config: MakeConfig) -> None:
    request = request_for(config=config(training={"epochs": 8}))
    result = train(request, Silent())
    assert result.validation is not None
    assert result.validation.accuracy > 0.8
    metrics = json.loads((request.out / "metrics.json").read_text())
    assert metrics["validation"]["accuracy"] == result.validation.accuracy
    assert metrics["test"] is None
    history = [json.loads(line) for line in (request.out / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == list(range(1, 9))
    best = max(row["validation_accuracy"] for row in history)
    assert result.validation.accuracy == pytest.approx(best)
    assert "accuracy" in (request.out / "README.md").read_text()
    assert not (request.out / ".training").exists()


def test_a_test_file_is_scored_once_and_never_trained_on(request_for: Make, more_reviews: Path) -> None:
    result = train(request_for(test=str(more_reviews)), Silent())
    assert result.test is not None
    assert result.test.count == 40
    without = train(request_for(force=True), Silent())
    weights = {}
    for name, request in (
        ("with", request_for(test=str(more_reviews), force=True)),
        ("without", request_for(force=True)),
    ):
        train(request, Silent())
        weights[name] = (request.out / "model.safetensors").read_bytes()
    assert weights["with"] == weights["without"]
    assert without.test is None


def test_nothing_that_is_learnt_sees_held_out_text(request_for: Make, tmp_path: Path) -> None:
    """Held-out rows rewritten with other words: tokenizer and weights stay, byte for byte."""
    request = request_for(columns=Columns(group="movie"))
    train(request, Silent())
    before = {name: (request.out / name).read_bytes() for name in ("model.safetensors", "tokenizer.json")}
    held_out = corpus_of(request, Silent()).split == VALIDATION
    assert 0 < held_out.sum() < len(held_out)
    lines = Path(request.data).read_text().splitlines()
    for row in np.flatnonzero(held_out):
        text, label, movie = lines[row + 1].split(",")
        lines[row + 1] = ",".join(["never seen words " + " ".join(reversed(text.split())), label, movie])
    Path(request.data).write_text("\n".join(lines) + "\n")
    # The last epoch is kept, as which one is best is the one thing that validation decides.
    last = replace(request, force=True, config=_keep_last(request.config))
    train(last, Silent())
    changed = {name: (request.out / name).read_bytes() for name in before}
    assert changed["tokenizer.json"] == before["tokenizer.json"]
    assert b"never" not in changed["tokenizer.json"]
    Path(request.data).write_text(Path(request.data).read_text().replace("never seen words ", ""))
    train(last, Silent())
    assert (request.out / "model.safetensors").read_bytes() == changed["model.safetensors"]


def _keep_last(config: TrainConfig) -> TrainConfig:
    return config.model_copy(update={"training": config.training.model_copy(update={"keep": "last"})})


def test_groups_are_never_split(request_for: Make) -> None:
    request = request_for(columns=Columns(group="movie"))
    corpus = corpus_of(request, Silent())
    movies = np.arange(120) // 4
    assert not set(movies[corpus.split == TRAIN]) & set(movies[corpus.split == VALIDATION])


def test_a_test_file_needs_no_column_of_groups(request_for: Make, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,label\na wonderful film,pos\na dull plot,neg\n")
    result = train(request_for(columns=Columns(group="movie"), test=str(tmp_path / "test.csv")), Silent())
    assert result.test is not None
    assert result.test.count == 2
    with pytest.raises(DataError, match="no column 'words'"):
        train(request_for(columns=Columns(text="words"), test=str(tmp_path / "test.csv"), force=True), Silent())


class Epochs(Silent):
    def __init__(self) -> None:
        self.records: list[EpochRecord] = []
        self.warnings: list[str] = []

    def epoch(self, record: EpochRecord, best: bool) -> None:
        self.records.append(record)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def test_patience_ends_a_run_that_gets_no_better(request_for: Make, config: MakeConfig) -> None:
    epochs = Epochs()
    flat = config(optimiser={"learning_rate": 1e-9}, training={"epochs": 20, "patience": 2})
    train(request_for(config=flat), epochs)
    assert len(epochs.records) < 20


def test_max_steps_is_the_number_of_steps(request_for: Make, config: MakeConfig) -> None:
    epochs = Epochs()
    train(request_for(config=config(training={"epochs": 5, "max_steps": 17})), epochs)
    assert epochs.records[-1].step == 17


def test_min_steps_adds_epochs_and_max_steps_wins(request_for: Make, config: MakeConfig) -> None:
    for limits, last in (({"min_steps": 30}, 36), ({"min_steps": 30, "max_steps": 26}, 26)):
        epochs = Epochs()
        train(request_for(config=config(training={"epochs": 1} | limits), force=True), epochs)
        assert epochs.records[-1].step == last


def test_the_last_weights_are_kept_on_request(request_for: Make, config: MakeConfig) -> None:
    result = train(request_for(config=config(training={"keep": "last"})), Silent())
    assert result.config.training["best_epoch"] is None


def test_validation_is_limited_on_request(request_for: Make, config: MakeConfig) -> None:
    result = train(request_for(config=config(training={"validation_limit": 5})), Silent())
    assert result.validation is not None
    assert result.validation.count == 5


@pytest.mark.parametrize("clip_norm", [None, 1e-4, 0.2, 1e6])
def test_gradients_are_no_longer_than_clip_norm_and_else_what_they_were(
    clip_norm: float | None, request_for: Make, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[float] = []
    after: list[float] = []
    total, step = nn.utils.get_total_norm, torch.optim.AdamW.step

    def watched_total(*args: Any, **options: Any) -> Tensor:
        norm = total(*args, **options)
        before.append(float(norm))
        return norm

    def watched_step(self: torch.optim.AdamW, *args: Any, **options: Any) -> Any:
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        after.append(float(total(grads)))
        return step(self, *args, **options)

    monkeypatch.setattr(nn.utils, "get_total_norm", watched_total)
    monkeypatch.setattr(torch.optim.AdamW, "step", watched_step)
    optimiser = {"clip_norm": clip_norm, "learning_rate": 0.02}
    train(request_for(config=config(optimiser=optimiser, training={"epochs": 1})), Silent())
    assert len(before) == len(after) > 5
    limit = np.inf if clip_norm is None else clip_norm
    assert after == pytest.approx([min(norm, limit) for norm in before], rel=1e-4)


def test_balanced_weights_change_what_is_learnt(request_for: Make, config: MakeConfig, reviews: Path) -> None:
    lines = reviews.read_text().splitlines()
    reviews.write_text("\n".join(line for row, line in enumerate(lines) if row % 6 or not row) + "\n")
    out = {}
    for weights in ("none", "balanced"):
        request = request_for(config=config(training={"class_weights": weights, "epochs": 1}), force=True)
        train(request, Silent())
        out[weights] = (request.out / "model.safetensors").read_bytes()
    assert out["none"] != out["balanced"]


def test_a_hopeless_run_stops_and_leaves_no_model(request_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    initial = TextModel.__init__

    def poisoned(self: TextModel, *args: Any, **kwargs: Any) -> None:
        initial(self, *args, **kwargs)
        self.head.output.bias.data.fill_(float("nan"))

    monkeypatch.setattr(TextModel, "__init__", poisoned)
    epochs = Epochs()
    request = request_for()
    with pytest.raises(TrainingError, match=r"step \d+: the gradient of .* non-finite"):
        train(request, epochs)
    # One of a run of such steps, which the error at its end counts.
    [warning] = [message for message in epochs.warnings if "gradient of" in message]
    assert "step 0: gradient of encoder.embedding.weight is not finite" in warning
    assert not (request.out / "config.json").exists()


def test_a_gradient_that_is_not_finite_is_reported_with_its_own_layer(
    request_for: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = TextTraining.backward_in_portions

    def poisoned(self: TextTraining, *args: Any) -> Any:
        result = backward(self, *args)
        bias = self.model.head.output.bias
        assert bias.grad is not None
        bias.grad[0] = float("nan")
        return result

    monkeypatch.setattr(TextTraining, "backward_in_portions", poisoned)
    epochs = Epochs()
    with pytest.raises(TrainingError, match=r"the gradient of head\.output\.bias stayed non-finite"):
        train(request_for(), epochs)
    assert "step 0: gradient of head.output.bias is not finite" in epochs.warnings[0]


def test_an_epoch_with_a_skipped_step_tells_means_of_the_others(
    request_for: Make, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = TextTraining.backward_in_portions
    taken: list[tuple[float, int]] = []

    def poisoned_once(self: TextTraining, ids: Any, lengths: Any, labels: Any) -> Any:
        loss, scores = backward(self, ids, lengths, labels)
        if self.sums.steps == 1:
            assert self.model.head.output.bias.grad is not None
            self.model.head.output.bias.grad[0] = float("nan")
        else:
            taken.append((float(loss), len(labels)))
        return loss, scores

    monkeypatch.setattr(TextTraining, "backward_in_portions", poisoned_once)
    epochs = Epochs()
    train(request_for(config=config(training={"epochs": 1})), epochs)
    [record] = epochs.records
    assert record.skipped_steps == 1
    mean = sum(loss * texts for loss, texts in taken) / sum(texts for _, texts in taken)
    assert record.train_loss == pytest.approx(mean, rel=1e-12)


def test_a_run_that_fails_late_keeps_the_last_good_model(
    request_for: Make, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poisoner(Epochs):
        def epoch(self, record: EpochRecord, best: bool) -> None:
            super().epoch(record, best)
            monkeypatch.setattr(CrossEntropyLoss, "forward", lambda self, scores, labels: scores.sum() * float("nan"))

    request = request_for(config=config(training={"epochs": 9}))
    epochs = Poisoner()
    with pytest.raises(TrainingError, match="the model of epoch 1, the best so far, is in"):
        train(request, epochs)
    second = epochs.records[1]
    assert second.skipped_steps > 0
    assert (second.train_loss, second.train_accuracy, second.gradient_norm) == (None, None, None)
    assert len(Predictor.load(request.out).predict(["a wonderful film"])) == 1


def test_a_place_that_is_taken_is_refused_before_any_work(request_for: Make) -> None:
    train(request_for(), Silent())
    with pytest.raises(OutputError, match="--force"):
        train(request_for(data="does-not-exist.csv"), Silent())


def test_one_class_is_refused_with_nothing_written(request_for: Make, reviews: Path) -> None:
    reviews.write_text(reviews.read_text().replace("neg", "pos"))
    request = request_for()
    with pytest.raises(DataError, match="every row has the label 'pos'"):
        train(request, Silent())
    assert not request.out.exists()


def test_vectors_are_asked_for_by_name(request_for: Make, config: MakeConfig) -> None:
    with pytest.raises(ConfigError, match="--vectors"):
        train(request_for(config=config(encoder={"embedding_init": "vectors"})), Silent())
