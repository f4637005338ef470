"""Options as a backend sees them: without what does nothing in this call, of one layer, of one direction."""

from dataclasses import replace

from throughtime.nn.remembered import remembered
from throughtime.spec.cells import LayerOptions


@remembered
def acting(options: LayerOptions, training: bool) -> LayerOptions:
    """`options` without weight dropout, applied to weight_hh before, and without a recurrent dropout that rests.

    Zoneout stays: outside of training its shares mix old and new.
    """
    recurrent_dropout = options.recurrent_dropout if training else 0.0
    return replace(options, weight_dropout=0.0, recurrent_dropout=recurrent_dropout)


@remembered
def of_layer(options: LayerOptions, layer: int) -> LayerOptions:
    """Those of one layer of a stack, alone."""
    size = options.hidden_size[layer]
    return replace(options, input_size=options.layer_input_size(layer), hidden_size=(size,))


@remembered
def of_direction(options: LayerOptions, layer: int) -> LayerOptions:
    """Those of either direction of one layer, alone."""
    return replace(of_layer(options, layer), bidirectional=False)
