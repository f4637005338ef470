"""Parquet files."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import Columns, open_source


def written(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


@pytest.mark.parametrize(
    ("labels", "expected", "kind"),
    [
        (pa.array([1, 0], pa.int8()), ["1", "0"], "int"),
        (pa.array([2**63, 0], pa.uint64()), ["9223372036854775808", "0"], "int"),
        (pa.array([True, False]), ["True", "False"], "bool"),
        (pa.array(["7", "b"]), ["7", "b"], "str"),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"], "str"),
        (pa.array([1.0, 0.0]), ["1.0", "0.0"], "float"),
    ],
)
def test_labels_keep_the_kind_of_their_column(
    labels: Any, expected: list[str], kind: str, tmp_path: Path, everything: Any
) -> None:
    source = open_source(written(tmp_path / "a.parquet", text=["x", "y"], label=labels))
    assert everything(source).labels == expected
    assert source.label_kind == kind


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_any_kind_of_strings_is_a_text(kind: Any, tmp_path: Path, everything: Any) -> None:
    path = written(tmp_path / "a.parquet", text=pa.array(["x", "好"], kind), label=[0, 1], by=[5, 6])
    rows = everything(open_source(path, Columns(group="by")))
    assert rows == (["x", "好"], ["0", "1"], ["5", "6"], [f"{path}, row 1", f"{path}, row 2"])


def test_a_name_with_a_dot_is_one_column(tmp_path: Path, everything: Any) -> None:
    path = written(tmp_path / "a.parquet", **{"a.text": ["x"], "a": ["no"], "label": [1]})
    assert everything(open_source(path, Columns(text="a.text"))).texts == ["x"]


def test_many_row_groups_are_read_in_order(tmp_path: Path, everything: Any) -> None:
    texts = [f"t{i}" for i in range(3000)]
    table = pa.table({"text": texts, "label": [i % 2 for i in range(3000)]})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    source = open_source(str(tmp_path / "a.parquet"))
    assert everything(source, 1000).texts == texts
    assert everything(source, 7).texts == texts


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"text": ["x", None], "label": [0, 1]}, ["row 2: no text (null) in column 'text'"]),
        ({"text": ["x", "y"], "label": [0, None]}, ["row 2: no label in column 'label'"]),
        ({"text": ["x", "y"], "label": [0.5, 1.0]}, ["row 1: label 0.5", "regression target"]),
        ({"text": ["x", "y"], "label": [[1], [2]]}, ["row 1: the label in column 'label' is a list"]),
        ({"text": ["x", "y"], "label": [b"a", b"b"]}, ["row 1: the label in column 'label' is a bytes"]),
        ({"words": [1, 2], "label": [0, 1]}, ["which column holds the texts", "'words', 'label'"]),
        ({"text": pa.array([], pa.string()), "label": pa.array([], pa.int8())}, ["holds no rows"]),
    ],
)
def test_what_cannot_be_used_is_named(
    columns: dict[str, Any], parts: list[str], tmp_path: Path, everything: Any
) -> None:
    path = written(tmp_path / "a.parquet", **columns)
    with pytest.raises(DataError) as caught:
        everything(open_source(path))
    assert str(caught.value).startswith(path)
    for part in parts:
        assert part in str(caught.value)


def test_a_column_of_numbers_is_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", text=[1, 2], words=["a", "b"], label=[0, 1])
    with pytest.raises(DataError, match=r"column 'text' holds int64, not strings.*--text-column"):
        open_source(path, Columns(text="text"))


def test_a_group_that_is_no_number_is_missing(tmp_path: Path, everything: Any) -> None:
    groups = pa.array([1.0, float("nan")], from_pandas=False)
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"], "by": groups}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"row 2: no group in column 'by'"):
        everything(open_source(str(tmp_path / "a.parquet"), Columns(group="by")))


def test_a_missing_group_is_named(tmp_path: Path, everything: Any) -> None:
    path = written(tmp_path / "a.parquet", text=["x", "y"], label=[0, 1], by=["m", None])
    with pytest.raises(DataError, match=r"row 2: no group in column 'by'"):
        everything(open_source(path, Columns(group="by")))


def test_bytes_that_are_no_utf8_are_named(tmp_path: Path, everything: Any) -> None:
    texts = pa.array([b"fine", b"na\xefve"]).view(pa.string())
    path = written(tmp_path / "a.parquet", text=texts, label=[0, 1])
    with pytest.raises(DataError, match=r"row 2: invalid UTF-8 in column 'text'"):
        everything(open_source(path))


@pytest.mark.parametrize("damage", ["cut", "other", "flipped", "name"])
def test_a_file_that_is_not_whole_is_refused(damage: str, tmp_path: Path, everything: Any) -> None:
    path = Path(written(tmp_path / "a.parquet", text=[f"words {i}" * 9 for i in range(999)], label=[1, 2, 3] * 333))
    content = path.read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "other": b"text,label\nx,1\n" * 100,
        "name": content.replace(b"text", b"t\x8axt"),
        "flipped": content[:4] + bytes(b ^ 0xFF for b in content[4:400]) + content[400:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DataError, match=r"a\.parquet: not a whole Parquet file \(.*\); copy or download it again$"):
        everything(open_source(str(path)))


def test_other_formats_are_read_without_the_parquet_library(write: Any) -> None:
    path = write("a.csv", "text,label\nx,1\n")
    code = (
        "import sys; from throughtime.text.reading import open_source; "
        f"next(open_source({path!r}).rows()); print(sorted({{'pyarrow', 'torch', 'pydantic'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_parquet_library_is_said_with_the_remedy(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", text=["x"], label=[1])
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from throughtime.text.reading import open_source\n"
        f"try: open_source({path!r})\nexcept ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "reading Parquet needs pyarrow" in done.stdout
    assert "pip install 'throughtime[train]'" in done.stdout
