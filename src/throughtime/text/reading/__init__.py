"""Labelled texts from files, streamed: a folder a class, CSV, TSV, JSON Lines, Parquet, or the built-in `imdb`.

`open_source` finds the format and the columns; what it returns gives its rows in batches, as often as asked, and never
holds a file in memory. Parquet's library is imported only when a Parquet file is opened.
"""

from throughtime.text.reading.opening import ENDINGS, open_source
from throughtime.text.reading.source import Columns, RowBatch, Source

__all__ = ["ENDINGS", "Columns", "RowBatch", "Source", "open_source"]
