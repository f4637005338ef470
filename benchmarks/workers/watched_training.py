"""`throughtime train`, and the seconds of looks at its gradients through time, as JSON to the file WATCH_SECONDS."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from throughtime.cli.main import main
from throughtime.cli.process import short_waits

if TYPE_CHECKING:
    from throughtime.text.training.flow_watch import FlowWatch
    from throughtime.text.training.model import TextModel


def timed_main() -> int:
    """Runs the command line with a clock around every look."""
    short_waits()  # as the command does, before torch loads OpenMP
    from throughtime.text.training import flow_watch

    measure, seconds = flow_watch.FlowWatch.measure, list[float]()

    def timed(watch: "FlowWatch", model: "TextModel") -> Any:
        started = time.perf_counter()
        found = measure(watch, model)
        seconds.append(time.perf_counter() - started)
        return found

    flow_watch.FlowWatch.measure = timed  # type: ignore[assignment,method-assign]
    try:
        return main()
    finally:
        Path(os.environ["WATCH_SECONDS"]).write_text(json.dumps(seconds), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(timed_main())
