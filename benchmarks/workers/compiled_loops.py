"""The loops of `benchmarks.loops` with the step under torch.compile."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.loops import Loop
from benchmarks.workers.serve import Arrays, Runner, Task, serve, threads
from throughtime.spec.cells import LayerOptions


def options_of(task: Task) -> LayerOptions:
    """Those of the case; JSON has lists for tuples."""
    sizes: dict[str, Any] = {"cell": task.cell, "input_size": task.input_size, "hidden_size": (task.hidden_size,)}
    arguments: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in task.arguments.items()}
    return LayerOptions(**sizes, **arguments)


class Training:
    """A forward and a backward pass in training; the result is that without the random parts."""

    def __init__(self, task: Task) -> None:
        self._layer = Loop(options_of(task), compiled=True)
        self._layer.load_state_dict({name: torch.from_numpy(w) for name, w in task.weights.items()})
        self._x = torch.from_numpy(task.x)
        self._d_output = torch.from_numpy(task.d_output)

    def run(self) -> None:
        self._compute()

    def _compute(self) -> tuple[Tensor, Tensor]:
        self._layer.zero_grad(set_to_none=True)
        x = self._x.detach().requires_grad_()
        output = self._layer(x)
        torch.autograd.backward(output, self._d_output)
        return output, x

    def result(self) -> Arrays:
        self._layer.eval()
        output, x = self._compute()
        self._layer.train()
        gradients = {"input": x.grad, **{name: w.grad for name, w in self._layer.named_parameters()}}
        named = {f"d_{name}": g.numpy() for name, g in gradients.items() if g is not None}
        return {"output": output.detach().numpy(), **named}


def prepare(task: Task) -> Runner:
    torch._dynamo.reset()
    training = Training(task)
    training.run()  # with masks it is another step to compile, and that must not fail later
    return training


if __name__ == "__main__":
    torch.set_num_threads(threads())
    serve(prepare, ("torch", "numpy"))
