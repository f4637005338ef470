"""What `open_source` takes for a file that it knows."""

from pathlib import Path

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import ENDINGS, open_source


@pytest.mark.parametrize("ending", [*ENDINGS, ".CSV", ".md", ".gz", ""])
def test_known_endings_are_those_that_are_opened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    path.write_text("x")
    refusal = ""
    try:
        open_source(str(path), labelled=False)
    except DataError as error:
        refusal = str(error)
    assert ("a format that is not known" not in refusal) == ending.lower().endswith(ENDINGS)
