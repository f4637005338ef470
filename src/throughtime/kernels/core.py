"""Loads the compiled module, and hands out its layers."""

import os
import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from throughtime.kernels import openmp
from throughtime.spec.cells import GATES, KINDS, NONLINEARITIES, LayerOptions, direction_shapes
from throughtime.spec.errors import OptionError

if TYPE_CHECKING:
    from throughtime.kernels._core import BatchPlan as BatchPlan
    from throughtime.kernels._core import (
        LayerFloat32,
        LayerFloat64,
        PoolingFloat32,
        PoolingFloat64,
        StreamFloat32,
        StreamFloat64,
        available_threads,
    )

    NativeLayer = LayerFloat32 | LayerFloat64
    NativePooling = PoolingFloat32 | PoolingFloat64
    NativeStream = StreamFloat32 | StreamFloat64
    _problem: str | None
else:
    try:
        from throughtime.kernels._core import (
            BatchPlan,
            LayerFloat32,
            LayerFloat64,
            PoolingFloat32,
            PoolingFloat64,
            StreamFloat32,
            StreamFloat64,
            available_threads,
        )

        openmp.load()
        _problem = None
        NativeLayer = LayerFloat32 | LayerFloat64
        NativePooling = PoolingFloat32 | PoolingFloat64
        NativeStream = StreamFloat32 | StreamFloat64
    except ImportError as error:
        BatchPlan = NativeLayer = NativePooling = NativeStream = available_threads = None
        _problem = f"the native core is not there ({error}); install throughtime where a C++ compiler is"

ISA_VARIABLE: Final = "THROUGHTIME_ISA"


class _Limit(threading.local):
    """Of the threads that calls from one thread of Python may use."""

    threads: int = 1 << 16


_limit = _Limit()


def available() -> bool:
    """Whether the compiled module is there."""
    return _problem is None


def why_not() -> str | None:
    """Why it is not there, for an error or a warning; None where it is."""
    return _problem


@lru_cache(maxsize=1)
def isa() -> str:
    """The instruction set that runs: the machine's best, or the one that THROUGHTIME_ISA names.

    Raises:
        OptionError: the variable names one that does not exist or does not run here, or the core is not there.
    """
    if _problem is not None:
        raise OptionError(_problem)
    from throughtime.kernels._core import instruction_sets

    names = instruction_sets()
    forced = os.environ.get(ISA_VARIABLE)
    if not forced:
        return names[0]
    if forced not in names:
        raise OptionError(f"{ISA_VARIABLE} must be one of {', '.join(names)} on this machine, but is {forced!r}")
    return forced


def threads() -> int:
    """Threads that a call from this thread may use: torch.set_num_threads, OMP_NUM_THREADS; 1 in a forked child."""
    return 1 if available_threads is None else min(available_threads(), _limit.threads)


def limit_threads(most: int) -> None:
    """From now on, calls from this thread of Python use no more: it is one of several that share the machine."""
    _limit.threads = most


def lacks(options: LayerOptions) -> str | None:
    """What of these options the core does not have; None if it has all."""
    variant = options.layer_norm or any(options.zoneout) or options.recurrent_dropout
    return "variants of a GRU with reset_after=False" if variant and not options.reset_after else None


@lru_cache(maxsize=256)
def layer(options: LayerOptions, index: int, dtype: str, *, masked: bool = False) -> "NativeLayer":
    """The kernels of layer `index` of a stack.

    Args:
        dtype: "float32" or "float64".
        masked: masks of zoneout and of recurrent dropout come with each call, as far as the options have them. Without
            them zoneout's shares mix old and new, and recurrent dropout rests.
    """
    from throughtime.kernels._core import LayerFloat32, LayerFloat64

    if dtype not in ("float32", "float64"):
        raise OptionError(f"dtype must be float32 or float64, but is {dtype}")
    return (LayerFloat32 if dtype == "float32" else LayerFloat64)(
        list(GATES).index(options.cell),
        NONLINEARITIES.index(options.nonlinearity),
        options.reset_after,
        options.layer_input_size(index),
        options.hidden_size[index],
        options.num_directions,
        isa(),
        layer_norm=options.layer_norm,
        zoneout_h=options.zoneout[0],
        zoneout_c=options.zoneout[1],
        zoneout_masks=masked and any(options.zoneout),
        recurrent_mask=masked and options.recurrent_dropout > 0,
        peephole=options.peephole,
        coupled_gates=options.coupled_gates,
        proj_size=options.proj_size,
    )


@lru_cache(maxsize=256)
def places(options: LayerOptions, index: int) -> tuple[int, ...]:
    """Where each parameter of a direction, in the order of `direction_shapes`, stands among `spec.cells.KINDS`."""
    return tuple(KINDS.index(kind) for kind in direction_shapes(options, index))


def by_kind(options: LayerOptions, index: int, given: "Sequence[Any]") -> list[Any]:
    """One direction's parameters as the core takes them: a place for every kind, None where the layer has none."""
    result: list[Any] = [None] * len(KINDS)
    for place, value in zip(places(options, index), given, strict=True):
        result[place] = value
    return result


@lru_cache(maxsize=2)
def pooling(dtype: str) -> "NativePooling":
    """Pooling over texts, in "float32" or "float64"."""
    from throughtime.kernels._core import PoolingFloat32, PoolingFloat64

    return (PoolingFloat32 if dtype == "float32" else PoolingFloat64)(isa())


def stream(layers: "Sequence[NativeLayer]", packed: Sequence[Any], batch: int) -> "NativeStream":
    """A stack of layers of one direction, to be advanced step by step from a state of zeros.

    Args:
        packed: of each layer, its weights packed for forward; kept alive by the stream.
    """
    from throughtime.kernels._core import LayerFloat32, StreamFloat32, StreamFloat64

    return (StreamFloat32 if isinstance(layers[0], LayerFloat32) else StreamFloat64)(layers, packed, batch)
