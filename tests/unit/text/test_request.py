"""What is opened of a request."""

from pathlib import Path
from typing import Any

import pytest

from throughtime.text import request as module
from throughtime.text.config import parse_config
from throughtime.text.reading import Columns
from throughtime.text.request import TrainRequest, open_sources


def test_every_part_that_is_imdb_may_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[str, bool]] = []

    def open_source(data: str, columns: Columns, *, download: bool) -> Any:
        opened.append((data, download))

    monkeypatch.setattr(module, "open_source", open_source)
    asked: dict[str, Any] = {"config": parse_config({}, "test"), "recipe": "default", "columns": Columns()}
    open_sources(TrainRequest("imdb", Path("out"), test="imdb", validation="imdb", download=True, **asked))
    assert opened == [("imdb", True)] * 3
