"""Groups that split nothing: a row without one is read, its group is ""."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from throughtime.text.reading import Columns, open_source

ROWS: list[dict[str, Any]] = [{"text": "a", "label": "x", "by": "p"}, {"text": "b", "label": "y", "by": None}]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "missing.jsonl", "a.parquet"])
def test_a_row_without_a_group_is_read_where_none_is_needed(name: str, tmp_path: Path, everything: Any) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        kept = [{k: v for k, v in row.items() if v or name == "a.jsonl"} for row in ROWS]
        path.write_text("".join(json.dumps(row) + "\n" for row in kept))
    else:
        mark = "," if path.suffix == ".csv" else "\t"
        path.write_text("".join(mark.join(row) + "\n" for row in (("text", "label", "by"), "axp", ("b", "y", ""))))
    assert everything(open_source(str(path), Columns(group="by", group_needed=False))).groups == ["p", ""]
