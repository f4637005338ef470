"""The model in plain PyTorch is throughtime's on packed sequences, and takes its steps on the same tokens."""

import pytest
import torch

from benchmarks.problem import WrongResultError
from benchmarks.text_model import Batch, TorchTextModel, TorchTraining
from benchmarks.text_training import compare
from throughtime.text.config import TrainConfig, with_values
from throughtime.text.recipe import load_recipe
from throughtime.text.training.model import TextModel

VOCABULARY = 30


def _config() -> TrainConfig:
    small = {"encoder.segment": 5, "encoder.hidden_size": [6], "encoder.embedding_size": 8}
    return with_values(load_recipe("default"), small, "test")


def _batch() -> Batch:
    lengths = torch.tensor([13, 4, 7])
    ids = torch.randint(2, VOCABULARY, (3, 13), generator=torch.Generator().manual_seed(0))
    return ids.masked_fill(torch.arange(13) >= lengths[:, None], 0), lengths, torch.tensor([0, 1, 1])


def _models(*, packed: bool) -> tuple[TextModel, TorchTextModel]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = _config()
    ours = TextModel(config.encoder_config(VOCABULARY), config.head_config(2), config)
    other = TorchTextModel(config, VOCABULARY, 2, packed=packed)
    other.take_weights(ours)
    return ours, other


def test_packed_it_is_the_same_model_and_padded_it_is_not_quite() -> None:
    ours, other = _models(packed=True)
    assert compare(ours, other, _batch()) < 1e-5
    assert ours.training
    assert other.training
    ours, other = _models(packed=False)
    with pytest.raises(WrongResultError):
        compare(ours, other, _batch())


@pytest.mark.parametrize("packed", [False, True])
def test_a_step_moves_every_weight_and_counts_tokens_that_stay(packed: bool) -> None:
    _, model = _models(packed=packed)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    training = TorchTraining(model, _config())
    assert training.step(_batch(), 0.0) == 24
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert 3 <= training.step(_batch(), 0.999) < 24


def test_another_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="recipe default"):
        TorchTextModel(with_values(_config(), {"encoder.segment": None}, "test"), VOCABULARY, 2, packed=True)
