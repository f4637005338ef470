"""Where a row of a batch stands."""

from throughtime.text.reading import RowBatch


def test_a_place_is_a_line_where_there_are_lines_a_row_where_there_are_none_and_a_file_where_each_row_has_one() -> None:
    texts = ["a", "b"]
    assert RowBatch(texts, None, None, 0, [2, 17], name="x.csv").where(1) == "x.csv, line 17"
    assert RowBatch(texts, None, None, 10, name="x.parquet").where(1) == "x.parquet, row 12"
    assert RowBatch(texts, None, None, 0, name="d", paths=["d/a/1", "d/a/2"]).where(1) == "d/a/2"
    assert len(RowBatch(texts, None, None, 0)) == 2
