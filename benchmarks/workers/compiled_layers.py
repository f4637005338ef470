"""torch.compile: one time step compiled, in a loop over the steps.

`torch.compile` of the layers of `torch.nn` themselves leaves them as they are (a break of the graph), or, with
`torch._dynamo.config.allow_rnn`, writes every step of a sequence out, which takes minutes to compile.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.workers.serve import Arrays, Runner, Task, serve, threads

State = tuple[Tensor, ...]


def step_of(cell: str) -> Callable[..., State]:
    """gates (batch, gates · hidden) of the input, w_hh transposed, b_hh, state, real (batch, 1) or None → state."""

    def step(gates: Tensor, w: Tensor, b: Tensor, state: State, real: Tensor | None) -> State:
        h = state[0]
        recurrent = torch.addmm(b, h, w)
        if cell == "RNN":
            after: State = (torch.tanh(gates + recurrent),)
        elif cell == "GRU":
            (xr, xz, xn), (hr, hz, hn) = gates.chunk(3, 1), recurrent.chunk(3, 1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            n = torch.tanh(xn + r * hn)
            after = (n + z * (h - n),)
        else:
            i, f, g, o = (gates + recurrent).chunk(4, 1)
            c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
            after = (torch.sigmoid(o) * torch.tanh(c), c)
        if real is None:
            return after
        return tuple(torch.where(real, new, old) for new, old in zip(after, state, strict=True))

    return step


def zero_state(task: Task) -> State:
    return (torch.zeros(task.x.shape[1], task.hidden_size),) * (2 if task.cell == "LSTM" else 1)


class Sequences:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._training = task.work == "training"
        self._weights = {n: torch.from_numpy(w).requires_grad_(self._training) for n, w in task.weights.items()}
        self._x = torch.from_numpy(task.x)
        self._d_output = torch.from_numpy(task.d_output)
        self._real = torch.from_numpy(task.real)[:, :, None] if task.ragged else None
        self._step: Any = torch.compile(step_of(task.cell), fullgraph=True, dynamic=False)

    def _forward(self, x: Tensor) -> Tensor:
        output = torch.cat([self._direction(x, suffix) for suffix in self._task.directions], dim=2)
        return output if self._real is None else output.masked_fill(~self._real, 0.0)

    def _direction(self, x: Tensor, suffix: str) -> Tensor:
        own = {kind: self._weights[kind + suffix] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        gates = torch.nn.functional.linear(x, own["weight_ih"], own["bias_ih"]).unbind(0)
        w, state = own["weight_hh"].t(), zero_state(self._task)
        outputs: list[Tensor] = [w] * len(gates)
        order = range(len(gates))
        for t in reversed(order) if suffix.endswith("_reverse") else order:
            state = self._step(gates[t], w, own["bias_hh"], state, None if self._real is None else self._real[t])
            outputs[t] = state[0]
        return torch.stack(outputs)

    def run(self) -> None:
        self._compute()

    def _compute(self) -> tuple[Tensor, Tensor]:
        if not self._training:
            with torch.no_grad():
                return self._forward(self._x), self._x
        for weight in self._weights.values():
            weight.grad = None
        x = self._x.detach().requires_grad_()
        output = self._forward(x)
        torch.autograd.backward(output, self._d_output)
        return output, x

    def result(self) -> Arrays:
        output, x = self._compute()
        if not self._training:
            return {"output": output.numpy()}
        gradients = {"input": x.grad, **{name: w.grad for name, w in self._weights.items()}}
        named = {f"d_{name}": g.numpy() for name, g in gradients.items() if g is not None}
        return {"output": output.detach().numpy(), **named}


class Stream:
    def __init__(self, task: Task) -> None:
        weights = {name: torch.from_numpy(w) for name, w in task.weights.items()}
        w_ih, w_hh = weights["weight_ih_l0"].t(), weights["weight_hh_l0"].t()
        b_ih, b_hh = weights["bias_ih_l0"], weights["bias_hh_l0"]
        step = step_of(task.cell)

        def one(x: Tensor, state: State) -> State:
            return step(torch.addmm(b_ih, x, w_ih), w_hh, b_hh, state, None)

        self._step: Any = torch.compile(one, fullgraph=True, dynamic=False)
        self._x = [x.clone() for x in torch.from_numpy(task.x)]
        self._zero = self._state = zero_state(task)

    def run(self) -> None:
        self._state = self._step(self._x[0], self._state)

    def result(self) -> Arrays:
        state, outputs = self._zero, []
        with torch.no_grad():
            for x in self._x:
                state = self._step(x, state)
                outputs.append(state[0].numpy())
        return {"output": torch.stack([torch.from_numpy(o) for o in outputs]).numpy()}


def prepare(task: Task) -> Runner:
    torch._dynamo.reset()
    torch.set_grad_enabled(task.work == "training")
    return Stream(task) if task.work == "streaming" else Sequences(task)


if __name__ == "__main__":
    torch.set_num_threads(threads())
    serve(prepare, ("torch", "numpy"))
