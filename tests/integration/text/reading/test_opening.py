"""What `open_source` takes for a file that it knows."""

from pathlib import Path

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import ENDINGS, open_source


@pytest.mark.parametrize("name", ["data.csv.gz", "data.zip", "data.jsonl.XZ"])
def test_packed_files_are_to_be_unpacked(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match=r"packed \('\.\w+'\), and a file is read more than once; unpack it first"):
        open_source(str(tmp_path / name))


@pytest.mark.parametrize("ending", [*ENDINGS, ".CSV", ".md", ""])
def test_known_endings_are_those_that_are_opened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"data{ending}"
    path.write_text("x")
    refusal = ""
    try:
        open_source(str(path), labelled=False)
    except DataError as error:
        refusal = str(error)
    assert ("a format that is not known" not in refusal) == ending.lower().endswith(ENDINGS)
