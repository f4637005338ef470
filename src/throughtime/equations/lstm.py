"""The long short-term memory (notes A9). Derivation: docs/derivations/lstm.md, and lstm-variants.md for its options."""

from dataclasses import dataclass

import numpy as np

from throughtime.equations.activations import d_sigmoid, d_tanh, sigmoid
from throughtime.equations.arrays import Array, Parameters, State
from throughtime.equations.direction import Direction
from throughtime.equations.peephole import Peephole, peephole
from throughtime.equations.product import Product
from throughtime.equations.readout import Readout, read_out
from throughtime.equations.zoneout import zone_out, zone_out_back


@dataclass(frozen=True)
class LSTMStep:
    """One step, with all that its backward needs; arrays are (batch, size).

    peephole_i, _f, _o: what these gates see of c_{t-1}, c_{t-1}, and c_t before
    zoneout. keep_c: zoneout's mask.
    """

    of_x: Product
    of_h: Product
    peephole_i: Peephole
    peephole_f: Peephole
    peephole_o: Peephole
    coupled_gates: bool
    keep_c: Array | float
    c_before: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    readout: Readout

    @property
    def state(self) -> State:
        return (self.readout.h, self.c)

    def back(self, d_state: State, d: Parameters) -> tuple[Array, State]:
        """∂E/∂h_t, ∂E/∂c_t → ∂E/∂x_t and ∂E/∂(h_{t-1}, c_{t-1}); the parameters' gradients are added to `d`."""
        d_h, d_c_later = d_state

        d_o, d_c_through_h = self.readout.back(d_h, d)
        d_c_kept, d_c_new = zone_out_back(self.keep_c, d_c_later)  # zoneout-and-dropout.md (6)
        d_c_new = d_c_new + d_c_through_h  # lstm.md (7)
        delta_o = d_o * d_sigmoid(self.o)  # lstm.md (8)
        d_c_new = d_c_new + self.peephole_o.back(delta_o, d)  # lstm-variants.md (4)

        d_f, d_i = d_c_new * self.c_before, d_c_new * self.g
        if self.coupled_gates:
            d_f = d_f - d_i  # lstm-variants.md (9)
        delta = {
            "f": d_f * d_sigmoid(self.f),  # lstm.md (9)
            "i": d_i * d_sigmoid(self.i),  # lstm.md (10)
            "g": d_c_new * self.i * d_tanh(self.g),  # lstm.md (11)
            "o": delta_o,
        }
        d_c_before = d_c_kept + d_c_new * self.f  # lstm.md (12); zoneout-and-dropout.md (7)
        d_c_before += self.peephole_i.back(delta["i"], d) + self.peephole_f.back(delta["f"], d)  # lstm-variants.md (5)

        d_x = self.of_x.back(delta, d)  # lstm.md (14), (15)
        d_h_before = self.of_h.back(delta, d)  # lstm.md (13), (16)
        return d_x, (d_h_before, d_c_before)


def lstm_step(direction: Direction, x: Array, state: State) -> LSTMStep:
    """h_t and c_t from x_t (batch, input_size) and (h_{t-1}, c_{t-1})."""
    h_before, c_before = state
    of_x, of_h = direction.of_input(x), direction.of_hidden(h_before)
    a = {gate: of_x[gate] + of_h[gate] for gate in direction.options.gates}
    peephole_i, peephole_f = peephole(direction, "i", c_before), peephole(direction, "f", c_before)
    coupled_gates = direction.options.coupled_gates

    f = sigmoid(a["f"] + peephole_f.value)  # lstm.md (2)
    if coupled_gates:
        i = 1.0 - f  # lstm-variants.md (8)
    else:
        i = sigmoid(a["i"] + peephole_i.value)  # lstm.md (1)
    g = np.tanh(a["g"])  # lstm.md (3)
    c_new = f * c_before + i * g  # lstm.md (5)
    peephole_o = peephole(direction, "o", c_new)
    o = sigmoid(a["o"] + peephole_o.value)  # lstm.md (4)
    c = zone_out(direction.keep_c, c_before, c_new)  # zoneout-and-dropout.md (2)
    readout = read_out(direction.parameters, o, c_new)  # lstm.md (6); zoneout-and-dropout.md (2)
    return LSTMStep(
        of_x=of_x,
        of_h=of_h,
        peephole_i=peephole_i,
        peephole_f=peephole_f,
        peephole_o=peephole_o,
        coupled_gates=coupled_gates,
        keep_c=direction.keep_c,
        c_before=c_before,
        i=i,
        f=f,
        g=g,
        o=o,
        c=c,
        readout=readout,
    )
