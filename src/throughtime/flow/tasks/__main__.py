"""`python -m throughtime.flow.tasks TASK --cell CELL …`: trains one cell on one task, and says how its gradients flow.

Progress goes to standard error; the score, the table and the verdict to standard output.
"""

import argparse
import ast
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from throughtime.flow.plot import picture_ending, save_themes
from throughtime.flow.tasks.experiment import TASKS, Experiment, Outcome, make_task, run
from throughtime.flow.tasks.training import Progress
from throughtime.runtime.atomic import write_file
from throughtime.spec.cells import GATES
from throughtime.spec.errors import OptionError, ThroughtimeError


def main(arguments: Sequence[str] | None = None) -> int:
    """0 done, 2 bad input, in one line."""
    given = _parser().parse_args(arguments)
    try:
        if given.plot is not None:
            picture_ending(given.plot)  # before the work
        experiment = _experiment(given)
        task = make_task(experiment)
        print(
            f"{experiment.task}: {task.seq_len} steps, baseline loss {task.baseline:.4f}; {experiment.cell} of "
            f"{experiment.hidden_size}, {experiment.steps:,} steps of {experiment.batch_size}, seed {experiment.seed}",
            file=sys.stderr,
        )
        outcome = run(experiment, _say)
        print(_summary(outcome))
        if given.json is not None:
            flow = None if outcome.flow is None else json.loads(outcome.flow.to_json())
            result = outcome.to_dict() | {"flow": flow}
            write_file(given.json, (json.dumps(result, indent=1, ensure_ascii=False) + "\n").encode())
        if given.plot is not None and outcome.flow is not None:
            save_themes(outcome.flow, given.plot)
    except ThroughtimeError as error:
        print(f"throughtime.flow.tasks: error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m throughtime.flow.tasks",
        description="Trains a cell on a classic task, scores it and measures how its gradients flow through time.",
    )
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--cell", choices=sorted(GATES), default="LSTM")
    parser.add_argument("--length", type=int, help="steps of the task (copy: its lag); default: the task's usual")
    parser.add_argument("--hidden", type=int, default=64, metavar="UNITS")
    parser.add_argument(
        "--init", help="torch, orthogonal, xavier, identity, or chrono (for memory up to the length of the input)"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=("an argument of the layer, as in --option nonlinearity=relu or --option layer_norm=True; repeatable"),
    )
    parser.add_argument(
        "--task-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=("an argument of the task, as in --task-option permuted=True"),
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--optimiser", default="adam", help="adam, rmsprop or sgd")
    parser.add_argument("--learning-rate", type=float, default=0.003)
    parser.add_argument(
        "--clip", type=_number_or_none, default=1.0, metavar="NORM", help="default 1; none: no clipping"
    )
    parser.add_argument("--stop-below", type=float, metavar="LOSS", help="end once the held-out loss is below this")
    parser.add_argument("--held-out", type=int, default=512, metavar="SEQUENCES")
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write experiment, history and flow here")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw the flow here (.png, .svg or .pdf), and beside it FILE-dark"
    )
    return parser


def _experiment(given: argparse.Namespace) -> Experiment:
    options = dict(map(_pair, given.option))
    task_options = dict(map(_pair, given.task_option))
    experiment = Experiment(
        task=given.task,
        cell=given.cell,
        length=given.length,
        hidden_size=given.hidden,
        options=options,
        task_options=task_options,
        steps=given.steps,
        batch_size=given.batch_size,
        stop_below=given.stop_below,
        optimiser=given.optimiser,
        learning_rate=given.learning_rate,
        clip_norm=given.clip,
        held_out=given.held_out,
        evaluations=given.evaluations,
        seed=given.seed,
    )
    if given.init is not None:
        # chrono needs the longest memory that is wanted: the whole sequence.
        options["init"] = ("chrono", make_task(experiment).seq_len) if given.init == "chrono" else given.init
    return experiment


def _pair(text: str) -> tuple[str, Any]:
    """name=value; a value is a Python literal, or else a word."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"{text!r} is no option: give NAME=VALUE, as in nonlinearity=relu")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def _say(progress: Progress) -> None:
    print(
        f"step {progress.step:>6,}: loss {progress.train_loss:.4f}, held out {progress.held_out_loss:.4f}, "
        f"gradient norm {progress.gradient_norm:.3g}",
        file=sys.stderr,
        flush=True,
    )


def _summary(outcome: Outcome) -> str:
    ended = "; it diverged there: the next loss or gradient was not finite" if outcome.diverged else ""
    return (
        f"{outcome.experiment.task}, {outcome.experiment.cell}: held-out loss {outcome.loss:.4f} (without memory "
        f"{outcome.baseline:.4f}), {outcome.metric} {outcome.score:.4f}, after {outcome.steps:,} steps{ended}"
        f"\n\n{outcome.flow or 'the states overflow, so there is no flow to measure'}"
    )


if __name__ == "__main__":
    sys.exit(main())
