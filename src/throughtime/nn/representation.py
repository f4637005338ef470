"""What `repr` of a layer says between its brackets: the arguments that are not the default."""

from throughtime.nn.initial import Init
from throughtime.nn.state import equal_sizes
from throughtime.spec.cells import LayerOptions


def describe(
    options: LayerOptions, batch_first: bool, dropout: float, init: Init, recompute: bool | int, backend: str
) -> str:
    """In torch's form and order, then what torch lacks."""
    sizes = options.hidden_size
    parts = [f"{options.input_size}, {sizes[0] if equal_sizes(options) else list(sizes)}"]
    usual_nonlinearity = "relu" if options.cell == "IndRNN" else "tanh"
    keep_h, keep_c = options.zoneout
    arguments = {
        "proj_size": (options.proj_size, 0),
        "num_layers": (options.num_layers, 1 if equal_sizes(options) else options.num_layers),
        "nonlinearity": (options.nonlinearity, usual_nonlinearity),
        "bias": (options.bias, True),
        "batch_first": (batch_first, False),
        "dropout": (dropout, 0.0),
        "bidirectional": (options.bidirectional, False),
        "reset_after": (options.reset_after, True),
        "layer_norm": (options.layer_norm, False),
        "peephole": (options.peephole, False),
        "coupled_gates": (options.coupled_gates, False),
        "zoneout": (keep_h if keep_h == keep_c or not options.has_cell_state else options.zoneout, 0.0),
        "recurrent_dropout": (options.recurrent_dropout, 0.0),
        "weight_dropout": (options.weight_dropout, 0.0),
        "init": (init, "torch"),
        "recompute": (recompute, False),
        "backend": (backend, "auto"),
    }
    return ", ".join(parts + [f"{name}={value!r}" for name, (value, usual) in arguments.items() if value != usual])
