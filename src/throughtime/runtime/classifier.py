"""Token ids → one probability a class, as a `ModelConfig` says, on the core or in NumPy."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.config_json import check_config
from throughtime.runtime.encoding import TokenIds
from throughtime.runtime.linear import Linear
from throughtime.runtime.pooling import pool
from throughtime.runtime.recurrent import RecurrentStack, StackOutput
from throughtime.spec.errors import ModelError, ShapeError
from throughtime.spec.model import ModelConfig, model_parameter_shapes

Array = NDArray[Any]

_RECURRENT: Final = "recurrent."


class Classifier:
    """A model's encoder and head.

    Args:
        config: what the model is.
        tensors: name → array as `spec.model.model_parameter_shapes` says. float16 is read as float32.
    Raises:
        OptionError: the configuration contradicts itself.
        ShapeError: a tensor is missing or has another shape.
    """

    def __init__(self, config: ModelConfig, tensors: Mapping[str, Array]) -> None:
        check_config(config)
        for name, shape in model_parameter_shapes(config).items():
            if name not in tensors or tensors[name].shape != shape:
                found = tensors[name].shape if name in tensors else "nothing"
                raise ShapeError(f"tensor {name} must have shape {shape}, but is {found}")
        whole = {name: _at_least_float32(array) for name, array in tensors.items()}
        self._config = config
        self._embedding = whole["embedding.weight"]
        self._prior = np.array(config.prior)
        self._output = Linear(whole["head.output.weight"], whole["head.output.bias"])
        self._attention: Linear | None = None
        if config.head.pooling == "attention":
            self._attention = Linear(whole["head.attention.weight"], whole["head.attention.bias"])
        self._stack: RecurrentStack | None = None
        if config.encoder.kind == "recurrent":
            parameters = {k.removeprefix(_RECURRENT): v for k, v in whole.items() if k.startswith(_RECURRENT)}
            self._stack = RecurrentStack(config.encoder.layer_options, parameters)

    def probabilities(self, texts: Sequence[TokenIds]) -> NDArray[np.float64]:
        """Probability of each class for each text, (len(texts), num_classes); the prior where a text has no token.

        On the core a text's are the same bits alone, in any batch, at any place in it.

        Raises:
            ModelError: an id beyond the vocabulary, or a score that is not finite: tokenizer and weights do not belong
                together, or the weights are useless.
        """
        result = np.tile(self._prior, (len(texts), 1))
        filled = [row for row, ids in enumerate(texts) if len(ids)]
        if filled:
            ids = np.concatenate([texts[row] for row in filled])
            with np.errstate(over="ignore", invalid="ignore"):  # found below, where the model can be blamed
                scores = self._scores(ids, np.array([len(texts[row]) for row in filled]))
            if not np.isfinite(scores).all():
                raise ModelError("the model gives scores that are not finite: its weights are useless, train again")
            result[filled] = _softmax(scores.astype(np.float64))
        return result

    def _scores(self, ids: TokenIds, lengths: Array) -> Array:
        if ids.max() >= len(self._embedding):
            raise ModelError(
                f"token id {ids.max()} is beyond the model's vocabulary of {len(self._embedding)}: tokenizer.json "
                "belongs to another model; restore it from a copy, or train again"
            )
        if self._stack is None:
            pooled = self._pool(self._embedding[ids], lengths)
        elif self._config.head.pooling == "last":
            pooled = np.concatenate(list(self._run(self._stack, ids, lengths).h_n[-1]), axis=1)
        else:
            segments = _segments(lengths, self._config.encoder.segment)
            pooled = self._pool(self._run(self._stack, ids, segments).output, lengths)
        return self._output(pooled)

    def _run(self, stack: RecurrentStack, ids: TokenIds, lengths: Array) -> StackOutput:
        return stack.forward(self._embedding, lengths, ids)

    def _pool(self, vectors: Array, lengths: Array) -> Array:
        """One vector a text, (batch, head input), from one a token, (sum of lengths, size)."""
        pooling = self._config.head.pooling
        if pooling == "attention":
            return self._attend(vectors, lengths)
        return pool(vectors, lengths, maximum="max" in pooling, mean="mean" in pooling)

    def _attend(self, vectors: Array, lengths: Array) -> Array:
        assert self._attention is not None
        starts = np.cumsum(lengths) - lengths
        scores = self._attention(vectors)[:, 0]
        weights = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), lengths))
        weights /= np.repeat(np.add.reduceat(weights, starts), lengths)
        pooled: Array = np.add.reduceat(vectors * weights[:, None], starts)
        return pooled


def _segments(lengths: Array, segment: int | None) -> Array:
    """Lengths of what the stack runs on its own: `segment` steps each, fewer at a text's end."""
    if segment is None:
        return lengths
    counts = -(-lengths // segment)
    segments = np.full(counts.sum(), segment)
    segments[np.cumsum(counts) - 1] = lengths - (counts - 1) * segment
    return segments


def _softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _at_least_float32(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array
