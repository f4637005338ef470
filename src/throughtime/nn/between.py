"""torch's dropout between the layers of a stack."""

from torch import Tensor
from torch.nn import functional

from throughtime.nn.lengths import Unpadded


def dropped(x: Tensor, dropout: float, training: bool, unpadded: Unpadded | None = None) -> Tensor:
    """A layer's output as the next one gets it.

    Args:
        unpadded: where the input had no padding and x (seq_len, batch, features) has: the same numbers are drawn as
            over the tokens alone, so that no way of computing a layer draws others.
    """
    if unpadded is None:
        return functional.dropout(x, dropout, training)
    return unpadded.pad(functional.dropout(unpadded.take(x), dropout, training))
