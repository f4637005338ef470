"""Recurrent layers for PyTorch: `RNN`, `GRU` and `LSTM`, drop-in for `torch.nn`'s, with lengths and more options."""

from throughtime.nn.layers import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN"]
