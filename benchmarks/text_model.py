"""The model of recipe `default` and its training step as one writes them in plain PyTorch."""

from typing import Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from throughtime.spec.model import PAD_ID, UNKNOWN_ID
from throughtime.text.config import TrainConfig
from throughtime.text.training.encoder import MASKS
from throughtime.text.training.model import TextModel
from throughtime.text.training.segments import drop_segments

Batch: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""ids (batch, seq_len), 0 on padding; lengths (batch,); labels (batch,)."""

CELLS: Final[dict[str, type[nn.Module]]] = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}


class TorchTextModel(nn.Module):
    """Embedding → recurrent layer over segments of each text → maximum and mean over its tokens → linear layer.

    On padded sequences the reverse direction starts in the padding of a text's last, short segment: as usual, and not
    quite the same model.
    """

    def __init__(self, config: TrainConfig, vocabulary_size: int, classes: int, *, packed: bool) -> None:
        super().__init__()
        encoder, self.regularisation = config.encoder, config.regularisation
        if encoder.segment is None or config.head.pooling != "max+mean" or len(encoder.hidden_size) != 1:
            raise ValueError("this is the model of recipe default: segments, one layer, max+mean pooling")
        self.segment = encoder.segment
        self.packed = packed
        size = encoder.hidden_size[0]
        self.embedding = nn.Embedding(vocabulary_size, encoder.embedding_size, padding_idx=PAD_ID)
        self.recurrent = CELLS[encoder.cell](
            encoder.embedding_size, size, batch_first=True, bidirectional=encoder.bidirectional
        )
        self.dropout = nn.Dropout(self.regularisation.output_dropout)
        self.output = nn.Linear(2 * size * (2 if encoder.bidirectional else 1), classes)

    def take_weights(self, model: TextModel) -> None:
        """Copies throughtime's."""
        self.embedding.load_state_dict({"weight": model.encoder.embedding.weight})
        self.recurrent.load_state_dict(_part(model, "encoder.recurrent."))
        self.output.load_state_dict(_part(model, "head.output."))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(batch, seq_len) ids, 0 on padding; (batch,) lengths → (batch, classes)."""
        batch, seq_len = ids.shape
        count = -(-seq_len // self.segment)
        if self.training:
            hidden = torch.rand(ids.shape) < self.regularisation.word_dropout
            ids = ids.masked_fill(hidden & (ids != PAD_ID), UNKNOWN_ID)
        ids = nn.functional.pad(ids, (0, count * self.segment - seq_len), value=PAD_ID)
        piece_lengths = (lengths[:, None] - torch.arange(count) * self.segment).clamp(0, self.segment).flatten()
        real = piece_lengths > 0

        vectors = self.embedding(ids.view(batch * count, self.segment)[real])
        if self.training:
            kept = nn.functional.dropout(torch.ones(MASKS, vectors.shape[2]), self.regularisation.embedding_dropout)
            kept = kept[torch.randint(MASKS, (batch,))]
            vectors = vectors * kept.repeat_interleave(count, dim=0)[real][:, None, :]
        states = self._run(vectors, piece_lengths[real])

        texts = states.new_zeros(batch * count, self.segment, states.shape[2])
        texts[real] = states
        texts = texts.view(batch, count * self.segment, -1)
        padding = (torch.arange(texts.shape[1]) >= lengths[:, None])[:, :, None]
        highest = texts.masked_fill(padding, -torch.inf).amax(dim=1)
        mean = texts.masked_fill(padding, 0.0).sum(dim=1) / lengths[:, None]
        scores: Tensor = self.output(self.dropout(torch.cat([highest, mean], dim=1)))
        return scores

    def _run(self, vectors: Tensor, lengths: Tensor) -> Tensor:
        output: Tensor
        if not self.packed:
            output, _ = self.recurrent(vectors)
            return output
        pieces = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.recurrent(pieces)[0], batch_first=True, total_length=self.segment)
        return output


class TorchTraining:
    """Training of it: AdamW, clipping, an exponential average of the weights; as the recipe says."""

    def __init__(self, model: TorchTextModel, config: TrainConfig) -> None:
        self._config = config
        self._model = model.train()
        self._loss = nn.CrossEntropyLoss(label_smoothing=config.regularisation.label_smoothing)
        embedding = [model.embedding.weight]
        rest = [p for p in model.parameters() if p is not embedding[0]]
        groups = [
            {"params": embedding, "weight_decay": config.regularisation.embedding_decay},
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": config.regularisation.weight_decay},
            {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
        ]
        optimiser = config.optimiser
        self._optimiser = torch.optim.AdamW(groups, lr=optimiser.learning_rate, betas=optimiser.betas, fused=True)
        self._averaged: AveragedModel | None = None
        if optimiser.averaging is not None:
            self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(optimiser.averaging))  # type: ignore[no-untyped-call]

    def step(self, batch: Batch, share: float) -> int:
        """One step with that share of segments left out; returns the tokens that went through the model."""
        ids, lengths, labels = batch
        segment, clip = self._config.encoder.segment, self._config.optimiser.clip_norm
        if segment is not None and share:
            ids, lengths = drop_segments(ids, lengths, segment, share)
        self._optimiser.zero_grad()
        self._loss(self._model(ids, lengths), labels).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), clip)
        self._optimiser.step()
        if self._averaged is not None:
            self._averaged.update_parameters(self._model)
        return int(lengths.sum())


def _part(model: TextModel, prefix: str) -> dict[str, Tensor]:
    weights = model.state_dict()
    return {name.removeprefix(prefix): weight for name, weight in weights.items() if name.startswith(prefix)}
