"""A fingerprint changes with the content and with how it is read, and with nothing else."""

import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from throughtime.text.reading import Columns, open_source
from throughtime.text.reading.delimited import DelimitedSource

CONTENTS = {
    "a.csv": "text,label,by\nx,0,m\ny,1,n\n",
    "a.tsv": "text\tlabel\tby\nx\t0\tm\ny\t1\tn\n",
    "a.jsonl": '{"text": "x", "label": 0, "by": "m"}\n{"text": "y", "label": 1, "by": "n"}\n',
}


@pytest.fixture(params=["a.csv", "a.tsv", "a.jsonl", "a.parquet"])
def path(request: pytest.FixtureRequest, write: Any, tmp_path: Path) -> Path:
    if request.param in CONTENTS:
        return Path(write(request.param, CONTENTS[request.param]))
    pq.write_table(pa.table({"text": ["x", "y"], "label": [0, 1], "by": ["m", "n"]}), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def test_place_and_time_of_a_file_do_not_matter(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy = tmp_path / "elsewhere" / f"other{path.suffix}"
    shutil.copyfile(path, copy)
    os.utime(copy, (0, 0))
    assert open_source(str(path)).fingerprint() == open_source(str(copy)).fingerprint()


def test_one_changed_byte_matters(path: Path) -> None:
    before = open_source(str(path)).fingerprint()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"y", b"z"))
    assert open_source(str(path)).fingerprint() != before


def test_the_columns_matter(path: Path) -> None:
    ways = [Columns(), Columns(group="by"), Columns(label="by"), Columns(text="by", label="label")]
    prints = {open_source(str(path), columns).fingerprint() for columns in ways}
    assert len(prints) == len(ways)
    assert open_source(str(path), labelled=False).fingerprint() not in prints
    assert open_source(str(path), Columns("text", "label")).fingerprint() in prints


def test_names_classes_and_contents_of_a_folder_matter_and_its_place_does_not(acl_imdb: Path, tmp_path: Path) -> None:
    source = open_source(str(acl_imdb))
    before = source.fingerprint()
    shutil.copytree(acl_imdb, tmp_path / "copy")
    assert open_source(str(tmp_path / "copy")).fingerprint() == before
    assert open_source(str(acl_imdb), labelled=False).fingerprint() != before
    (acl_imdb / "train" / "unsup" / "1_0.txt").write_text("not a row")
    assert source.fingerprint() == before

    (acl_imdb / "train" / "neg" / "0_2.txt").rename(acl_imdb / "train" / "neg" / "0_3.txt")
    renamed = source.fingerprint()
    (acl_imdb / "train" / "neg" / "0_3.txt").write_text("other")
    changed = source.fingerprint()
    movies = acl_imdb / "train" / "urls_pos.txt"
    movies.write_text(movies.read_text().replace("tt0000003", "tt0000009"))
    assert len({before, renamed, changed, source.fingerprint()}) == 4


def test_the_archive_has_its_own(archive: Path) -> None:
    assert open_source(str(archive)).fingerprint() == open_source(str(archive)).fingerprint()
    assert open_source(str(archive)).fingerprint() != open_source(str(archive), labelled=False).fingerprint()


def test_rows_passed_over_and_labels_renamed_matter(write: Any) -> None:
    path = Path(write("a.csv", CONTENTS["a.csv"]))
    ways: list[dict[str, Any]] = [{}, {"only": ("by", "m")}, {"only": ("by", "n")}, {"renamed": {"0": "neg"}}]
    prints = [DelimitedSource(path, Columns(), labelled=True, tabs=False, **way).fingerprint() for way in ways]
    assert len(set(prints)) == len(ways)
