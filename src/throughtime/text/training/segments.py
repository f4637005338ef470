"""Segment dropout: whole segments of a text left out on training."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from throughtime.spec.model import PAD_ID


def drop_segments(ids: Tensor, lengths: Tensor, segment: int, share: float) -> tuple[Tensor, Tensor]:
    """Texts without a random `share` of their segments, at least one staying, in their order.

    No work is done on what is left out, and the model learns to judge from any part of a text. Only the last segment of
    a text may be short, and it stays last, so the others keep their borders.

    Args:
        ids: (batch, seq_len), PAD_ID from lengths on. lengths: (batch,), each at least 1.
    Returns:
        The same for the shorter texts: (batch, longest), (batch,).
    """
    batch, seq_len = ids.shape
    count = -(-seq_len // segment)
    ids = pad(ids, (0, count * segment - seq_len), value=PAD_ID).view(batch, count, segment)
    sizes = (lengths[:, None] - torch.arange(count, device=ids.device) * segment).clamp(0, segment)
    draws = torch.rand(batch, count, device=ids.device).masked_fill(sizes == 0, -1.0)
    # The highest draw stays whatever the share: it is kept beside none that would not be kept anyway.
    highest = draws.argmax(dim=1, keepdim=True)
    kept = (draws >= share).scatter(1, highest, True) & (sizes > 0)

    order = torch.argsort((~kept).to(torch.int8), dim=1, stable=True)[:, : int(kept.sum(dim=1).max())]
    ids = ids.masked_fill(~kept[:, :, None], PAD_ID).gather(1, order[:, :, None].expand(-1, -1, segment))
    lengths = (sizes * kept).sum(dim=1)
    return ids.flatten(1)[:, : int(lengths.max())], lengths
