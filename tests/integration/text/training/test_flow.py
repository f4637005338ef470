"""The flow of gradients in text models: the loss is training's, segments are sequences, the model is only read."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from throughtime import flow
from throughtime.runtime.model_dir import ModelDirectory, read_model_directory
from throughtime.spec import tolerances
from throughtime.spec.errors import DataError, ModelError, OptionError
from throughtime.spec.model import EncoderConfig, HeadConfig
from throughtime.text.classifier import TextClassifier
from throughtime.text.config import TrainConfig
from throughtime.text.request import TrainRequest
from throughtime.text.training.encoder import RecurrentEncoder, piece_lengths
from throughtime.text.training.flow import directory_flow, text_flow
from throughtime.text.training.model import TextModel
from throughtime.text.training.reporter import Silent
from throughtime.text.training.run import train

Make = Callable[..., TrainRequest]
MakeConfig = Callable[..., TrainConfig]
ROW = tolerances.GRADIENT["float64"]

MODELS: dict[str, dict[str, Any]] = {
    "segments": {"segment": 5, "bidirectional": True},
    "whole texts, two layers": {"hidden_size": (4, 3), "bidirectional": True},
    "last": {"pooling": "last", "bidirectional": True},
    "gru, attention": {"cell": "GRU", "pooling": "attention"},
    "relu rnn, maximum": {"cell": "RNN", "nonlinearity": "relu", "pooling": "max"},
}


def model_of(hidden_size: tuple[int, ...] = (4,), pooling: Any = "max+mean", **encoder: Any) -> TextModel:
    torch.manual_seed(3)
    config = TrainConfig.model_validate({"regularisation": {"output_dropout": 0.5, "embedding_dropout": 0.5}})
    described = EncoderConfig("recurrent", 30, 6, hidden_size=hidden_size, **encoder)
    return TextModel(described, HeadConfig(pooling, 3), config)


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_and_its_gradient_are_those_of_the_model_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the loss sends to the last state of each direction is what its output gets: no later step adds to it."""
    model = model_of(**MODELS[name])
    before = copy.deepcopy(model.state_dict())
    lengths = torch.tensor([13, 4, 7])
    ids = torch.randint(30, (24,), generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([2, 0, 1])
    random = torch.get_rng_state()
    measured = text_flow(
        model, ids, lengths, labels, nn.functional.cross_entropy, flow.Settings(), loss_name="cross-entropy"
    )
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    double = copy.deepcopy(model).double().eval()
    outputs: list[torch.Tensor] = []
    encode = double.encoder.forward

    def kept(*arguments: Any) -> torch.Tensor:
        outputs.append(encode(*arguments))
        outputs[0].retain_grad()
        return outputs[0]

    monkeypatch.setattr(double.encoder, "forward", kept)
    padded = nn.utils.rnn.pad_sequence(list(torch.split(ids, lengths.tolist())), batch_first=True)
    loss = nn.functional.cross_entropy(double(padded, lengths), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    np.testing.assert_allclose(measured.loss_value, float(loss.detach()), rtol=ROW.rtol)
    assert outputs[0].grad is not None
    segment = MODELS[name].get("segment")
    pieces = lengths if segment is None else piece_lengths(lengths, segment)
    ends = pieces.cumsum(0)
    assert isinstance(model.encoder, RecurrentEncoder)
    size = model.encoder.recurrent.options.hidden_size[-1]
    last = [direction for direction in measured.directions if direction.layer == measured.directions[-1].layer]
    for direction in last:
        places = ends - pieces if direction.reverse else ends - 1
        features = slice(size, 2 * size) if direction.reverse else slice(0, size)
        norms = outputs[0].grad[places, features].norm(dim=1).numpy()
        np.testing.assert_allclose(direction.loss_to_h.mean[0], norms.mean(), rtol=ROW.rtol, atol=ROW.atol)
        assert direction.loss_to_h.count[0] == len(pieces)
    assert measured.seq_len == int(pieces.max())


def test_segments_are_said_and_lie_evenly_over_the_texts() -> None:
    model = model_of(segment=5)
    lengths = torch.tensor([50, 50, 50])
    ids = torch.cat([torch.full((50,), word) for word in (3, 4, 5)])
    labels = torch.tensor([0, 1, 2])
    settings = flow.Settings(sequences=3)
    arguments: Any = (nn.functional.cross_entropy, settings)
    measured = text_flow(model, ids, lengths, labels, *arguments, loss_name="")
    assert "afresh every 5 tokens" in measured.notes[0]
    assert (measured.seq_len, measured.sequences) == (5, 30)
    # The three texts differ, the segments of one do not: one segment of each is measured.
    (direction,) = measured.directions
    alone = [
        text_flow(model, ids[50 * text :][:50], lengths[:1], labels[:1], *arguments, loss_name="").directions[0]
        for text in range(3)
    ]
    np.testing.assert_allclose(direction.norm.mean, np.mean([one.norm.mean for one in alone], axis=0), rtol=ROW.rtol)


def test_advice_is_in_the_keys_of_a_recipe() -> None:
    model = model_of(cell="GRU", pooling="last")
    ids = torch.randint(30, (40,), generator=torch.Generator().manual_seed(0))
    measured = text_flow(
        model,
        ids,
        torch.tensor([40]),
        torch.tensor([1]),
        nn.functional.cross_entropy,
        flow.Settings(),
        loss_name="cross-entropy",
    )
    assert measured.verdict == "vanishing"
    gate, pooling = measured.advice
    assert "encoder.cell=LSTM with encoder.forget_bias=2.2" in gate  # σ(2.2)^40 = 0.015
    assert "init=" not in gate
    assert "head.pooling=max+mean" in pooling


@pytest.fixture
def directory(request_for: Make, config: MakeConfig) -> ModelDirectory:
    request = request_for(config=config(training={"epochs": 1}))
    train(request, Silent())
    return read_model_directory(request.out)


def test_a_model_directory_and_a_classifier(directory: ModelDirectory, request_for: Make) -> None:
    texts, labels = ["a wonderful film", "the plot was dull", ""], ["pos", "neg", "neg"]
    measured = directory_flow(directory, texts, labels, exponents=2)
    assert measured.notes[1] == "1 of the texts are empty and left out"
    assert measured.sequences == 2
    classifier = TextClassifier.load(request_for().out)
    assert flow.measure(classifier, (texts, labels), exponents=2).to_dict() == measured.to_dict()
    assert classifier.gradient_flow(texts, labels, exponents=2).to_dict() == measured.to_dict()
    for wrong, message in (
        ((texts, labels[:2]), "3 != 2"),
        ((texts, ["pos", "neg", "fine"]), "'fine' is no class"),
        (([""], ["pos"]), "single token"),
    ):
        with pytest.raises(DataError, match=message):
            classifier.gradient_flow(*wrong)
    with pytest.raises(OptionError, match="exponent"):
        classifier.gradient_flow(texts, labels, exponent=2)
    with pytest.raises(ModelError, match="not fitted"):
        TextClassifier().gradient_flow(texts, labels)


def test_a_bag_has_no_flow() -> None:
    bag = TextModel(EncoderConfig("bag", 30, 6), HeadConfig("mean", 3), TrainConfig())
    with pytest.raises(ModelError, match="bag of words"):
        text_flow(
            bag,
            torch.tensor([3, 4]),
            torch.tensor([2]),
            torch.tensor([0]),
            nn.functional.cross_entropy,
            flow.Settings(),
            loss_name="",
        )
