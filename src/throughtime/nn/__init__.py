"""Recurrent layers for PyTorch: `RNN`, `GRU` and `LSTM`, drop-in for `torch.nn`'s, with lengths and more options; and
`MinGRU`, `MinLSTM` and `IndRNN`, which torch has none of. `truncated` runs one window by window over long sequences.

Layers on the native core keep large memory from one call to the next; `release_memory` gives it back.
"""

from throughtime.kernels import release_memory
from throughtime.nn.layers import GRU, LSTM, RNN
from throughtime.nn.minimal import IndRNN, MinGRU, MinLSTM
from throughtime.nn.truncation import Window, truncated

__all__ = ["GRU", "LSTM", "RNN", "IndRNN", "MinGRU", "MinLSTM", "Window", "release_memory", "truncated"]
