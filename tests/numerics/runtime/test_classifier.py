"""The NumPy classifier against the same model written with torch, text by text, for every pooling and segment."""

from typing import Any, Final

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from throughtime import kernels
from throughtime.runtime.classifier import Classifier
from throughtime.spec.cells import Cell, LayerOptions, parameter_shapes
from throughtime.spec.errors import ModelError, OptionError, ShapeError
from throughtime.spec.model import (
    EncoderConfig,
    HeadConfig,
    ModelConfig,
    Pooling,
    PreprocessingConfig,
    model_parameter_shapes,
)
from throughtime.spec.tolerances import PROBABILITY

Array = NDArray[Any]
VOCABULARY: Final = 20
LENGTHS: Final = [1, 9, 0, 4, 5, 13, 0, 2, 10]
POOLINGS: Final[list[Pooling]] = ["last", "max", "mean", "max+mean", "attention"]


def config(pooling: Pooling, **encoder: Any) -> ModelConfig:
    settings: dict[str, Any] = {"kind": "recurrent", "hidden_size": (5,), "bidirectional": True} | encoder
    return ModelConfig(
        labels=("a", "b", "c"),
        label_kind="str",
        prior=(0.5, 0.3, 0.2),
        preprocessing=PreprocessingConfig(100, "head"),
        encoder=EncoderConfig(vocabulary_size=VOCABULARY, embedding_size=6, **settings),
        head=HeadConfig(pooling, 3),
    )


def random_tensors(of: ModelConfig) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in model_parameter_shapes(of).items()}


def random_texts() -> list[NDArray[np.int32]]:
    rng = np.random.default_rng(4)
    return [rng.integers(1, VOCABULARY, length).astype(np.int32) for length in LENGTHS]


def by_torch(of: ModelConfig, tensors: dict[str, Array], ids: NDArray[np.int32]) -> Array:
    """Probabilities of one text, computed in float64 without batches, padding or shared code."""
    weights = {name: torch.from_numpy(value).double() for name, value in tensors.items()}
    vectors = weights["embedding.weight"][torch.from_numpy(ids).long()]
    final = torch.empty(0)
    if of.encoder.kind == "recurrent":
        options = of.encoder.layer_options
        module = getattr(torch.nn, options.cell)(
            options.input_size, options.hidden_size[0], options.num_layers, bidirectional=options.bidirectional
        ).double()
        module.load_state_dict({name: weights[f"recurrent.{name}"] for name in parameter_shapes(options)})
        outputs = [module(piece)[0] for piece in torch.split(vectors, of.encoder.segment or len(ids))]
        vectors = torch.cat(outputs)
        size = options.hidden_size[-1]
        final = torch.cat([vectors[-1, :size], vectors[0, size:]])  # each direction at its own last step
    if of.head.pooling == "last":
        pooled = final
    elif of.head.pooling == "attention":
        scores = vectors @ weights["head.attention.weight"][0] + weights["head.attention.bias"]
        pooled = torch.softmax(scores, 0) @ vectors
    else:
        parts = {"max": vectors.amax(0), "mean": vectors.mean(0)}
        pooled = torch.cat([parts[name] for name in of.head.pooling.split("+")])
    scores = weights["head.output.weight"] @ pooled + weights["head.output.bias"]
    return torch.softmax(scores, 0).detach().numpy()


def assert_equals_torch(of: ModelConfig) -> None:
    tensors, texts = random_tensors(of), random_texts()
    actual = Classifier(of, tensors).probabilities(texts)
    assert actual.shape == (len(texts), 3)
    for row, ids in enumerate(texts):
        expected = by_torch(of, tensors, ids) if len(ids) else np.array(of.prior)
        np.testing.assert_allclose(actual[row], expected, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)
    np.testing.assert_allclose(actual.sum(axis=1), 1, rtol=0, atol=PROBABILITY.atol)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("hidden_size", [(5,), (5, 5)])
def test_every_pooling(pooling: Pooling, bidirectional: bool, cell: Cell, hidden_size: tuple[int, ...]) -> None:
    assert_equals_torch(config(pooling, cell=cell, bidirectional=bidirectional, hidden_size=hidden_size))


@pytest.mark.parametrize("pooling", POOLINGS[1:])
@pytest.mark.parametrize("segment", [1, 2, 4, 5, 13, 50])
def test_every_segment(pooling: Pooling, segment: int) -> None:
    assert_equals_torch(config(pooling, segment=segment))


@pytest.mark.parametrize("pooling", POOLINGS[1:])
def test_bag(pooling: Pooling) -> None:
    assert_equals_torch(config(pooling, kind="bag", hidden_size=(), bidirectional=False))


@pytest.mark.skipif(not kernels.available(), reason="needs the native core, which is not compiled here")
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize(
    "encoder",
    [
        {"cell": "GRU", "hidden_size": (64,), "segment": 5},
        {"cell": "LSTM", "hidden_size": (33, 17)},
        {"cell": "RNN", "hidden_size": (1,), "bidirectional": False},
        {"kind": "bag"},
    ],
)
def test_a_text_is_the_same_bits_alone_in_any_batch_and_in_any_order(pooling: Pooling, encoder: dict[str, Any]) -> None:
    if pooling == "last" and not encoder.keys() <= {"cell", "hidden_size", "bidirectional"}:
        pytest.skip("these have no last state")
    of = config(pooling, **encoder)
    classifier = Classifier(of, random_tensors(of))
    rng = np.random.default_rng(5)
    texts = [rng.integers(1, VOCABULARY, length).astype(np.int32) for length in rng.integers(0, 60, 65)]
    whole = classifier.probabilities(texts)
    for count in range(1, len(texts)):
        np.testing.assert_array_equal(classifier.probabilities(texts[:count]), whole[:count])
        np.testing.assert_array_equal(classifier.probabilities(texts[count:]), whole[count:])
        np.testing.assert_array_equal(classifier.probabilities([texts[count]]), whole[count : count + 1])
    order = rng.permutation(len(texts))
    np.testing.assert_array_equal(classifier.probabilities([texts[row] for row in order]), whole[order])


def test_half_precision_embeddings_are_read_as_float32() -> None:
    of = config("max")
    tensors = random_tensors(of)
    half = tensors | {"embedding.weight": tensors["embedding.weight"].astype(np.float16)}
    whole = tensors | {"embedding.weight": half["embedding.weight"].astype(np.float32)}
    texts = random_texts()
    np.testing.assert_array_equal(Classifier(of, half).probabilities(texts), Classifier(of, whole).probabilities(texts))


def test_only_empty_texts_and_no_texts() -> None:
    of = config("last")
    classifier = Classifier(of, random_tensors(of))
    empty = np.array([], dtype=np.int32)
    np.testing.assert_array_equal(classifier.probabilities([empty, empty]), [of.prior, of.prior])
    assert classifier.probabilities([]).shape == (0, 3)


def test_large_scores_stay_probabilities() -> None:
    of = config("attention")
    tensors = {name: value * 300 for name, value in random_tensors(of).items()}
    probabilities = Classifier(of, tensors).probabilities(random_texts())
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=0, atol=PROBABILITY.atol)


def test_useless_weights_are_a_model_error() -> None:
    of = config("mean", cell="RNN", nonlinearity="relu", bidirectional=False)
    tensors = {name: np.full_like(value, 1e30) for name, value in random_tensors(of).items()}
    with pytest.raises(ModelError, match="scores that are not finite"):
        Classifier(of, tensors).probabilities(random_texts())


def test_ids_beyond_the_vocabulary_are_a_model_error() -> None:
    of = config("mean")
    with pytest.raises(ModelError, match="token id 20 is beyond the model's vocabulary of 20"):
        Classifier(of, random_tensors(of)).probabilities([np.array([1, VOCABULARY], np.int32)])


def test_what_contradicts_itself_is_refused() -> None:
    of = config("last", segment=5)
    with pytest.raises(OptionError, match=r"encoder\.segment 5 cuts a text into several"):
        Classifier(of, random_tensors(of))
    with pytest.raises(OptionError, match="kind 'bag' has none"):
        Classifier(config("last", kind="bag"), random_tensors(config("mean", kind="bag")))
    of = config("mean")
    tensors = random_tensors(of) | {"head.output.bias": np.zeros(4, np.float32)}
    with pytest.raises(ShapeError, match=r"head.output.bias must have shape \(3,\), but is \(4,\)"):
        Classifier(of, tensors)


def test_layers_of_other_sizes() -> None:
    """torch's modules have one size; two of them, one on the other, are the same stack."""
    of = config("max", hidden_size=(5, 3), bidirectional=False)
    tensors, ids = random_tensors(of), random_texts()[1]
    hidden = torch.from_numpy(tensors["embedding.weight"][ids])
    for layer, (before, after) in enumerate([(6, 5), (5, 3)]):
        module = torch.nn.LSTM(before, after)
        options = LayerOptions("LSTM", before, (after,))
        state = {name: tensors[f"recurrent.{name[:-1]}{layer}"] for name in parameter_shapes(options)}
        module.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
        hidden = module(hidden)[0].detach()
    scores = tensors["head.output.weight"] @ hidden.amax(0).numpy() + tensors["head.output.bias"]
    expected = torch.softmax(torch.from_numpy(scores), 0).numpy()
    actual = Classifier(of, tensors).probabilities([ids])[0]
    np.testing.assert_allclose(actual, expected, rtol=PROBABILITY.rtol, atol=PROBABILITY.atol)
