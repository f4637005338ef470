"""What can be changed in a layer of `throughtime.nn`: the arguments that its cell takes and has not been given."""

import math

from throughtime.flow.advice import Remedies
from throughtime.nn.base import Recurrent
from throughtime.nn.layers import LSTM
from throughtime.spec.cells import CLASSIC


def layer_remedies(layer: Recurrent) -> Remedies:
    """In the words of the layer's constructor."""
    options, init = layer.options, layer.init
    has_matrix = options.cell in CLASSIC
    can_normalise = has_matrix and not options.layer_norm
    can_be_orthogonal = has_matrix and init in ("torch", "xavier")  # chrono and the identity are so already
    can_be_identity = options.cell in ("RNN", "IndRNN") and options.nonlinearity == "relu" and init != "identity"
    own_bias = layer.forget_bias if isinstance(layer, LSTM) else None
    is_chrono = isinstance(init, tuple)
    # An initialisation that sets the gate's bias and one given by itself exclude each other.
    in_place = " in place of forget_bias" if own_bias is not None else ""
    bias = "" if options.bias else "bias=True and "
    return Remedies(
        clip="clip the gradient's norm in training (torch.nn.utils.clip_grad_norm_)",
        settle=_either(
            "scale the inputs to unit variance",
            "set layer_norm=True" if can_normalise else None,
            "take weight decay",
            "lower the learning rate",
        ),
        revive=_either(
            "lower the learning rate",
            "clip the gradient's norm",
            "start with init='identity'" if can_be_identity else None,
        ),
        gated="LSTM, GRU",
        truncate=None
        if options.bidirectional
        else "truncate back-propagation to {steps} steps (throughtime.nn.truncated)",
        shrink=_either("scale weight_hh down", "start it orthogonal (init='orthogonal')" if can_be_orthogonal else None)
        if has_matrix or options.cell == "IndRNN"
        else None,
        normalise="layer_norm=True" if can_normalise else None,
        start=_either(
            "start weight_hh orthogonal (init='orthogonal')" if can_be_orthogonal else None,
            "start weight_hh as the identity (init='identity')" if can_be_identity else None,
        )
        or None,
        tanh="nonlinearity='tanh'" if options.nonlinearity == "sigmoid" else None,
        open=f"start with {bias}forget_bias={{bias:.1f}}" if options.cell == "LSTM" and not is_chrono else None,
        forget_bias=-math.inf if own_bias is None else own_bias,
        chrono=f"start with {bias}init=('chrono', {{steps}}){in_place}",
        t_max=init[1] if isinstance(init, tuple) else 0,
    )


def _either(*ways: str | None) -> str:
    """Those that there are, as in "a, b or c"; "" where there are none."""
    *first, last = [way for way in ways if way is not None] or [""]
    return f"{', '.join(first)} or {last}" if first else last
