"""One direction of one layer over time: the loop forward, and back through time, for every cell alike.

Derivation: docs/derivations/stacking-and-lengths.md and truncation.md. Time here is the direction's own: a reverse
direction is handed its sequences already reversed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from throughtime.equations.arrays import Array, Indices, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.gru import gru_step
from throughtime.equations.indrnn import indrnn_step
from throughtime.equations.lengths import live_rows
from throughtime.equations.lstm import lstm_step
from throughtime.equations.minimal import min_gru_step, min_lstm_step
from throughtime.equations.rnn import rnn_step
from throughtime.equations.step import Step, StepFunction
from throughtime.equations.truncation import Window
from throughtime.equations.zoneout import with_zoneout
from throughtime.spec.cells import Cell, LayerOptions

STEPS: Final[dict[Cell, StepFunction]] = {
    "RNN": rnn_step,
    "GRU": gru_step,
    "LSTM": lstm_step,
    "MinGRU": min_gru_step,
    "MinLSTM": min_lstm_step,
    "IndRNN": indrnn_step,
}


def step_function(options: LayerOptions) -> StepFunction:
    """The equations of one step of the cell that `options` describes."""
    step_of = STEPS[options.cell]
    return with_zoneout(step_of) if options.zoneout[0] else step_of


@dataclass(frozen=True)
class SequenceTrace:
    """What one direction of one layer computed, and what its backward needs.

    output (seq_len, batch, features of h): h_t, zeros past a length. last: the state after each sequence's last step.
    steps and rows: one entry a step; rows says which sequences the step was computed for.
    """

    output: Array
    last: State
    steps: list[Step]
    rows: list[Indices]
    input_size: int


def run(direction: Direction, x: Array, state: State, lengths: Indices) -> SequenceTrace:
    """Forward over x (seq_len, batch, input_size) from `state`, each sequence for its own number of steps."""
    step_of = step_function(direction.options)
    seq_len, batch, input_size = x.shape
    current = tuple(part.copy() for part in state)
    output = np.zeros((seq_len, batch, state[0].shape[1]))
    steps: list[Step] = []
    rows: list[Indices] = []
    for t in range(seq_len):
        live = live_rows(lengths, t)
        step = step_of(direction.at(t, live), x[t, live], tuple(part[live] for part in current))
        for part, new in zip(current, step.state, strict=True):
            part[live] = new  # stacking-and-lengths.md (1): the state of a finished sequence stays
        output[t, live] = step.state[0]  # stacking-and-lengths.md (2)
        steps.append(step)
        rows.append(live)
    return SequenceTrace(output, current, steps, rows, input_size)


def run_back(trace: SequenceTrace, errors: State, window: Window, d: Parameters) -> tuple[Array, State]:
    """Back through the steps of `window`.

    Args:
        trace: of `run`.
        errors: ∂E/∂h_t (and ∂E/∂c_t) without what flows through later steps, each (seq_len, batch, its size).
        window: the steps to go through, from the last to the first.
        d: the parameters' gradients, to which this pass adds.
    Returns:
        ∂E/∂x (seq_len, batch, input_size), zero outside the window and past a length; and the gradient of the state
        before step window.start.
    """
    seq_len, batch, _ = trace.output.shape
    d_x = np.zeros((seq_len, batch, trace.input_size))
    d_state = tuple(np.zeros_like(part) for part in trace.last)
    for t in reversed(range(window.start, window.stop)):
        live = trace.rows[t]
        # rnn.md (3): what E takes directly from step t, and what it takes through step t + 1
        total = tuple(error[t, live] + later[live] for error, later in zip(errors, d_state, strict=True))
        d_x[t, live], d_before = trace.steps[t].back(total, d)
        for part, new in zip(d_state, d_before, strict=True):
            part[live] = new
    return d_x, d_state
