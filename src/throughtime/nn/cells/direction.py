"""From options and parameters to the cell."""

from typing import Final

from torch import Tensor

from throughtime.nn.cells.cell import Cell, Named, Weights
from throughtime.nn.cells.gru import gru
from throughtime.nn.cells.lstm import lstm
from throughtime.nn.cells.minimal import min_gru, min_lstm
from throughtime.nn.cells.rnn import ind_rnn, rnn
from throughtime.nn.remembered import remembered
from throughtime.spec.cells import LayerOptions, direction_shapes

_MAKERS: Final = {
    "RNN": rnn,
    "GRU": gru,
    "LSTM": lstm,
    "MinGRU": min_gru,
    "MinLSTM": min_lstm,
    "IndRNN": ind_rnn,
}


@remembered
def kinds(options: LayerOptions) -> tuple[str, ...]:
    """What the entries of `Weights` are, the same in every layer."""
    return tuple(direction_shapes(options, 0))


def direction_cell(options: LayerOptions, weights: Weights, recurrent: Tensor | None = None) -> Cell:
    """One direction of one layer as a function of a step.

    Args:
        options: of the stack, or of the layer alone. Their recurrent_dropout and weight_dropout change nothing here.
        weights: in the order of `kinds(options)`; weight_hh as it is used, its mask applied.
        recurrent: `Masks.recurrent`, (batch, features of h); None where no recurrent dropout acts.
    """
    parameters: Named = dict(zip(kinds(options), weights, strict=True))
    return _MAKERS[options.cell](options, parameters, recurrent)
