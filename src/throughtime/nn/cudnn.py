"""Memory layout that cuDNN wants: all weights of a stack in one piece, else it copies them at every call and warns."""

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from throughtime.nn.acting import acting
from throughtime.nn.fused import has_kernel
from throughtime.nn.state import equal_sizes
from throughtime.spec.cells import LayerOptions


def flatten(options: LayerOptions, weights: Sequence[Sequence[Tensor]], batch_first: bool) -> None:
    """Moves the weights of a stack on a GPU into one piece of memory; leaves them alone where cuDNN does not run them.

    Args:
        weights: one sequence for each direction of each layer, in torch's order; their values stay.
    """
    flat = list(chain.from_iterable(weights))
    if not flat[0].is_cuda or not has_kernel(acting(options, training=False)) or not equal_sizes(options):
        return
    if len({weight.dtype for weight in flat}) > 1 or not torch.backends.cudnn.is_acceptable(flat[0]):  # type: ignore[no-untyped-call]
        return
    if len({weight.data_ptr() for weight in flat}) != len(flat):
        return  # shared weights cannot be laid out twice
    import torch.backends.cudnn.rnn as cudnn_rnn

    mode = f"RNN_{options.nonlinearity.upper()}" if options.cell == "RNN" else options.cell
    with torch.cuda.device(flat[0].device), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            flat,
            len(weights[0]),
            options.input_size,
            cudnn_rnn.get_cudnn_mode(mode),  # type: ignore[no-untyped-call]
            options.hidden_size[0],
            options.proj_size,
            options.num_layers,
            batch_first,
            options.bidirectional,
        )
