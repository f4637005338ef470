"""The compiled module (native/bindings/module.cpp). Arrays are any that speak DLPack, on the CPU."""

from collections.abc import Sequence
from typing import Any

def instruction_sets() -> list[str]: ...
def available_threads() -> int: ...
def take_memory(bytes: int, result: bool) -> Any: ...
def memory_use() -> tuple[int, int, int, int]: ...
def release_memory() -> None: ...
def draw_booleans(start: int, level: int, out: Any, threads: int) -> None: ...

class BatchPlan:
    def __init__(self, seq_len: int, batch: int, lengths: Sequence[int] | None, by_step: bool = False) -> None: ...
    @property
    def tokens(self) -> int: ...
    def by_token(self, ids: Any, out: Any) -> None: ...

class _Layer:
    def __init__(
        self,
        cell: int,
        nonlinearity: int,
        reset_after: bool,
        input_size: int,
        hidden_size: int,
        directions: int,
        isa: str | None,
        layer_norm: bool = False,
        zoneout_h: float = 0.0,
        zoneout_c: float = 0.0,
        zoneout_masks: bool = False,
        recurrent_mask: bool = False,
        peephole: bool = False,
        coupled_gates: bool = False,
        proj_size: int = 0,
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def packed_forward(self) -> int: ...
    @property
    def packed_backward(self) -> int: ...
    @property
    def saved_width(self) -> int: ...
    @property
    def gates_width(self) -> int: ...
    @property
    def input_width(self) -> int: ...
    def pack(self, weights: Sequence[Any | None], backward: bool, packed: Any) -> None: ...
    def forward(
        self,
        plan: BatchPlan,
        input: Any | None,
        packed: Sequence[Any],
        h_0: Any | None,
        c_0: Any | None,
        output: Any,
        h_n: Any,
        c_n: Any | None,
        saved: Sequence[Any],
        projected: Sequence[Any],
        ids: Any | None,
        threads: int,
        masks: Sequence[Sequence[Any | None]] = ...,
    ) -> None: ...
    def backward(
        self,
        plan: BatchPlan,
        input: Any | None,
        packed: Sequence[Any],
        h_0: Any | None,
        c_0: Any | None,
        output: Any,
        saved: Sequence[Any],
        d_output: Any,
        d_h_n: Any | None,
        d_c_n: Any | None,
        d_gates: Sequence[Any],
        d_input: Any | None,
        d_h_0: Any | None,
        d_c_0: Any | None,
        d_weights: Sequence[Sequence[Any | None]],
        threads: int,
        masks: Sequence[Sequence[Any | None]] = ...,
    ) -> None: ...
    def project(self, packed: Any, x: Any, projected: Any, threads: int) -> None: ...
    def project_backward(
        self, packed: Any, x: Any, d_projected: Any, d_x: Any | None, d_weight_ih: Any | None, threads: int
    ) -> None: ...
    def scatter(self, plan: BatchPlan, d_gates: Any, ids: Any, d_projected: Any, threads: int) -> None: ...
    def fingerprint(self, arrays: Sequence[Any]) -> int: ...
    def activation(self, function: int, x: Any, out: Any) -> None: ...

class LayerFloat32(_Layer): ...
class LayerFloat64(_Layer): ...

class _Pooling:
    def __init__(self, isa: str | None) -> None: ...
    def forward(
        self,
        values: Any,
        lengths: Sequence[int],
        maximum: Any | None,
        at: Any | None,
        mean: Any | None,
        threads: int,
    ) -> None: ...
    def backward(
        self,
        lengths: Sequence[int],
        d_maximum: Any | None,
        at: Any | None,
        d_mean: Any | None,
        d_values: Any,
        threads: int,
    ) -> None: ...

class PoolingFloat32(_Pooling): ...
class PoolingFloat64(_Pooling): ...

class _Stream:
    def __init__(self, layers: Sequence[Any], packed: Sequence[Any], batch: int) -> None: ...
    def step(self, x: Any, y: Any, threads: int) -> None: ...
    def read(self, level: int, cell: bool, state: Any) -> None: ...
    def write(self, level: int, cell: bool, state: Any) -> None: ...

class StreamFloat32(_Stream): ...
class StreamFloat64(_Stream): ...
