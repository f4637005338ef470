"""A text model: an encoder and a head under the parameter names of the model directory (spec.model)."""

import numpy as np
import torch
from torch import Tensor, nn

from throughtime.spec.errors import ShapeError
from throughtime.spec.model import EncoderConfig, HeadConfig
from throughtime.text.config import TrainConfig
from throughtime.text.training.encoder import BagEncoder, Embedding, RecurrentEncoder
from throughtime.text.training.head import ClassificationHead


class TextModel(nn.Module):
    """Token ids → one score a class (before the softmax)."""

    def __init__(self, encoder: EncoderConfig, head: HeadConfig, config: TrainConfig):
        super().__init__()
        regularisation = config.regularisation
        embedding = Embedding(
            encoder.vocabulary_size,
            encoder.embedding_size,
            std=config.encoder.embedding_std,
            word_dropout=regularisation.word_dropout,
            embedding_dropout=regularisation.embedding_dropout,
        )
        self.encoder: BagEncoder | RecurrentEncoder
        if encoder.kind == "bag":
            self.encoder = BagEncoder(embedding)
        else:
            self.encoder = RecurrentEncoder(encoder, embedding, forget_bias=config.encoder.forget_bias)
        self.head = ClassificationHead(
            head,
            encoder.output_size,
            bidirectional=encoder.kind == "recurrent" and encoder.bidirectional,
            output_dropout=regularisation.output_dropout,
        )

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(batch, seq_len) int64 ids, 0 on padding; (batch,) int64 lengths, each at least 1 → (batch, num_classes)."""
        tokens = ids[torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]]
        scores: Tensor = self.head(self.encoder(tokens, lengths), lengths)
        return scores

    @torch.no_grad()
    def set_embedding(self, matrix: np.ndarray, found: np.ndarray) -> None:
        """Replaces the rows of the embedding that `found` (vocabulary_size,) marks by those of `matrix`."""
        weight = self.encoder.embedding.weight
        if matrix.shape != tuple(weight.shape):
            raise ShapeError(f"matrix must have the embedding's shape, but {matrix.shape} != {tuple(weight.shape)}")
        rows = torch.from_numpy(np.flatnonzero(found))
        weight[rows] = torch.from_numpy(matrix[found]).to(weight.dtype)

    def tensors(self) -> dict[str, np.ndarray]:
        """Parameters by their names in model.safetensors, as float32 NumPy arrays of their own."""
        return {n: t.detach().cpu().numpy().astype(np.float32) for n, t in self._by_file_name().items()}

    @torch.no_grad()
    def load_tensors(self, tensors: dict[str, np.ndarray]) -> None:
        """Takes parameters by their names in model.safetensors, the inverse of `tensors`."""
        for name, parameter in self._by_file_name().items():
            parameter.copy_(torch.from_numpy(tensors[name]))

    def _by_file_name(self) -> dict[str, Tensor]:
        names = {"encoder.embedding.": "embedding.", "encoder.recurrent.": "recurrent.", "head.": "head."}
        result = {}
        for name, parameter in self.state_dict().items():
            prefix = next(old for old in names if name.startswith(old))
            result[names[prefix] + name.removeprefix(prefix)] = parameter
        return result
