"""Pooling against its definition, text by text."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from throughtime.spec.model import HeadConfig, Pooling
from throughtime.text.training.head import ClassificationHead

POOLINGS = get_args(Pooling)
LENGTHS = torch.tensor([1, 4, 7])


def pooled_alone(head: ClassificationHead, vectors: Tensor) -> Tensor:
    """Definition, for one text without padding: (seq_len, size)."""
    half = vectors.shape[1] // 2
    parts = {
        "last": [vectors[-1, :half], vectors[0, half:]],
        "max": [vectors.amax(dim=0)],
        "mean": [vectors.mean(dim=0)],
        "max+mean": [vectors.amax(dim=0), vectors.mean(dim=0)],
    }
    if head.attention is not None:
        weights = torch.softmax(head.attention(vectors).squeeze(1), dim=0)
        return weights @ vectors
    return torch.cat(parts[head.pooling])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_its_definition_text_by_text(pooling: Pooling) -> None:
    torch.manual_seed(0)
    head = ClassificationHead(HeadConfig(pooling=pooling, num_classes=3), 6, bidirectional=True).double().eval()
    vectors = torch.randn(int(LENGTHS.sum()), 6, dtype=torch.float64)
    expected = torch.stack([pooled_alone(head, text) for text in vectors.split_with_sizes(LENGTHS.tolist())])
    torch.testing.assert_close(head.pool(vectors, LENGTHS), expected)
    assert head(vectors, LENGTHS).shape == (3, 3)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_has_no_gradient_from_another(pooling: Pooling) -> None:
    torch.manual_seed(0)
    head = ClassificationHead(HeadConfig(pooling=pooling, num_classes=2), 4, bidirectional=True)
    vectors = torch.randn(int(LENGTHS.sum()), 4, requires_grad=True)
    head(vectors, LENGTHS)[1].square().sum().backward()
    assert vectors.grad is not None
    first, own, last = vectors.grad.split_with_sizes(LENGTHS.tolist())
    assert not first.any() and not last.any() and own.any()
