"""CSV and TSV files as people write them."""

from collections.abc import Callable
from typing import Any

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import Columns, delimited, files, open_source


def test_a_csv_file_gives_texts_labels_and_the_lines_on_which_rows_start(write: Any, everything: Any) -> None:
    path = write("a.csv", 'text,label\r\ngood,pos\r\n"bad, ""very""\nbad",neg\r\n\r\nso so,pos\r\n')
    rows = everything(open_source(path))
    assert rows.texts == ["good", 'bad, "very"\nbad', "so so"]
    assert rows.labels == ["pos", "neg", "pos"]
    assert rows.groups is None
    assert rows.places == [f"{path}, line {n}" for n in (2, 3, 6)]


def test_white_space_and_case_of_headers_and_around_labels_do_not_matter(write: Any, everything: Any) -> None:
    source = open_source(write("a.csv", "\ufeff Label , Text\n pos , kept as it is \nneg,x\n"))
    rows = everything(source)
    assert rows.labels == ["pos", "neg"]
    assert rows.texts == [" kept as it is ", "x"]


@pytest.mark.parametrize("before", ["\n", " \n", "\t \n\n"])
def test_a_blank_line_is_no_header(before: str, write: Any, everything: Any) -> None:
    rows = everything(open_source(write("a.csv", f"{before}text,label\na,x\nb,y\n")))
    assert (rows.texts, rows.labels) == (["a", "b"], ["x", "y"])


def test_groups_are_read_where_they_are_named(write: Any, everything: Any) -> None:
    path = write("a.csv", "text,label,movie\na,0,m1\nb,1,m2\n")
    assert everything(open_source(path, Columns(group="movie"))).groups == ["m1", "m2"]
    with pytest.raises(DataError, match=r"line 3: no group in column 'movie'.*leave out --group-column"):
        everything(open_source(write("b.csv", "text,label,movie\na,0,m1\nb,1, \n"), Columns(group="movie")))


@pytest.mark.parametrize(("separator", "name"), [(";", "a.csv"), ("\t", "a.csv"), (",", "a.CSV"), ("\t", "a.tsv")])
def test_the_separator_is_found_in_the_header(separator: str, name: str, write: Any, everything: Any) -> None:
    content = "text,label\na b,x\nc d,y\n".replace(",", separator)
    assert everything(open_source(write(name, content))).texts == ["a b", "c d"]


def test_a_separator_within_quotes_is_none(write: Any, everything: Any) -> None:
    path = write("a.csv", '"text, as it came";label\na, b;x\nc;y\n')
    rows = everything(open_source(path, Columns(text="text, as it came")))
    assert (rows.texts, rows.labels) == (["a, b", "c"], ["x", "y"])


@pytest.mark.parametrize("line", ["sep={}", "SEP={}", '"sep={}"', "sep={};;"])
@pytest.mark.parametrize("mark", [";", ",", "\t"])
def test_a_line_before_the_header_may_announce_the_separator(line: str, mark: str, write: Any, everything: Any) -> None:
    path = write("a.csv", f'\ufeff{line.format(mark)}\r\ntext{mark}label\r\n"a, b; c"{mark}x\r\nd{mark}y\r\n')
    rows = everything(open_source(path))
    assert (rows.texts, rows.labels) == (["a, b; c", "d"], ["x", "y"])
    assert rows.places == [f"{path}, line {n}" for n in (3, 4)]


@pytest.mark.parametrize(("mark", "word"), [(",", "commas"), (";", "semicolons")])
def test_a_tsv_file_without_tabs_is_no_table_of_one_column(mark: str, word: str, write: Any, everything: Any) -> None:
    path = write("a.tsv", f"text{mark}label\ngood{mark}pos\nbad{mark}neg\n")
    with pytest.raises(DataError, match=f"a.tsv, line 1: no tabs between the columns, but {word}; .* name it .csv"):
        open_source(path, labelled=False)
    named = Columns(text=f"text{mark}label")
    assert everything(open_source(path, named, labelled=False)).texts == [f"good{mark}pos", f"bad{mark}neg"]
    assert everything(open_source(write("b.tsv", "text\na, b\n"), labelled=False)).texts == ["a, b"]


def test_quotes_of_a_tsv_file_are_quotes_where_it_is_written_so(write: Any, everything: Any) -> None:
    quoted = write("quoted.tsv", 'text\tlabel\n"two\nlines and a ""word"""\tpos\nplain\tneg\n')
    assert everything(open_source(quoted)).texts == ['two\nlines and a "word"', "plain"]


def test_quotes_of_a_tsv_file_are_characters_where_it_is_written_so(write: Any, everything: Any) -> None:
    plain = write("plain.tsv", 'text\tlabel\n"Go" he said\tpos\n"never closed\tneg\nplain\tneg\n')
    assert everything(open_source(plain)).texts == ['"Go" he said', '"never closed', "plain"]


@pytest.mark.parametrize("before", [0, 5000])
def test_a_lone_quote_of_a_tsv_file_takes_no_rows_into_its_text(before: int, write: Any, everything: Any) -> None:
    rows = [f'a "word" {row}\tpos\n' for row in range(before)]
    path = write("a.tsv", "text\tlabel\n" + "".join(rows) + '"Hello there\tpos\nfine film\tneg\nbye"\tneg\nok\tpos\n')
    assert everything(open_source(path)).texts[before:] == ['"Hello there', "fine film", 'bye"', "ok"]


@pytest.mark.parametrize("label", ['"pos"', "1"])
def test_a_tsv_file_with_all_texts_quoted_keeps_their_tabs_and_line_ends(
    label: str, write: Any, everything: Any
) -> None:
    other = label.replace("pos", "neg").replace("1", "0")
    path = write("a.tsv", f'"text"\t"label"\n"a tab\tthen\na line"\t{label}\n"plain"\t{other}\n')
    assert everything(open_source(path)).texts == ["a tab\tthen\na line", "plain"]
    one_column = write("b.tsv", 'text\n"two\nlines"\nplain\n')
    assert everything(open_source(one_column, labelled=False)).texts == ["two\nlines", "plain"]


@pytest.mark.parametrize("rows", [100, 5000])
def test_a_lone_quote_of_a_tsv_file_of_one_column_is_a_character(rows: int, write: Any, everything: Any) -> None:
    texts = ['"Hello there', *(f"film {row}" for row in range(rows))]
    path = write("a.tsv", "\n".join(["text", *texts]) + "\n")
    assert everything(open_source(path, labelled=False)).texts == texts


@pytest.mark.parametrize("lines", [2, 3, 7])
def test_the_lines_that_decide_may_end_within_quotes(lines: int, write: Any, everything: Any) -> None:
    text = "\n".join(["one", *["more"] * (lines - 2), "end"])
    one_column = write("a.tsv", "text\n" + f'"{text}"\n' * 1500)
    assert everything(open_source(one_column, labelled=False)).texts == [text] * 1500
    two = write("b.tsv", '"text"\t"label"\n' + f'"{text}"\t"pos"\n"{text}"\t"neg"\n' * 750)
    assert everything(open_source(two)).texts == [text] * 1500


def test_where_the_first_quoted_field_of_a_large_tsv_file_is(
    write: Any, everything: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f'"{"a" * row}\nb"\t"c"\n' if row > 8 else f"{'a' * row}\tc\n" for row in range(20)]
    expected = [text + "\nb" * (len(text) > 8) for text in ("a" * row for row in range(20))]
    path = write("a.tsv", "text\tlabel\n" + "".join(rows))
    for block in (*range(1, 20), 1 << 20):
        monkeypatch.setattr("throughtime.text.reading.delimited._BLOCK", block)
        assert everything(open_source(path)).texts == expected


def test_empty_texts_are_rows(write: Any, everything: Any) -> None:
    assert everything(open_source(write("a.csv", 'text,label\n,a\n" ",b\n""\t,a\n'.replace("\t", "")))).texts == [
        "",
        " ",
        "",
    ]
    one_column = write("b.csv", 'text\n""\nx\n\n" "\n')
    assert everything(open_source(one_column, labelled=False)).texts == ["", "x", " "]


@pytest.mark.parametrize(
    ("labels", "kind"), [("0 1 0", "int"), ("a b 1", "str"), ("True False True", "bool"), ("1.0 0.0 2.0", "float")]
)
def test_the_kind_of_the_labels_is_known_without_asking_for_rows_first(labels: str, kind: str, write: Any) -> None:
    content = "text,label\n" + "".join(f"x,{label}\n" for label in labels.split())
    assert open_source(write("a.csv", content)).label_kind == kind


def test_fractions_as_labels_are_refused_at_the_end(write: Any, everything: Any) -> None:
    path = write("a.csv", "text,label\na,0.5\nb,1\n")
    with pytest.raises(DataError, match=r"a\.csv: the labels are numbers with fractions \(0\.5\).*--label-column"):
        everything(open_source(path))
    assert everything(open_source(path, labelled=False)).texts == ["a", "b"]


def test_a_text_of_five_million_characters_is_read(write: Any, everything: Any) -> None:
    text = "word " * 1_000_000
    rows = everything(open_source(write("a.csv", f'text,label\n"{text}",a\nb,b\n')))
    assert rows.texts == [text, "b"]


def test_an_unclosed_quote_stops_before_it_has_eaten_the_file(
    write: Any, everything: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import csv

    taken = 0

    def counted(file: Any, name: str) -> Any:
        nonlocal taken
        for line in files.text_lines(file, name):
            taken += 1
            yield line

    monkeypatch.setattr(delimited, "text_lines", counted)
    monkeypatch.setattr(delimited, "MAX_TEXT", 1000)
    before = csv.field_size_limit(10)
    try:
        path = write("a.csv", 'text,label\na,x\n"b,y\n' + "c,x\n" * 10_000)
        with pytest.raises(DataError, match=r"a\.csv, line 3: a double quote .* never closed; close it"):
            everything(open_source(path))
    finally:
        csv.field_size_limit(before)
    assert taken < 400


def test_batches_are_cut_by_rows_and_by_length(write: Any) -> None:
    small = open_source(write("a.csv", "text,label\n" + "x,a\ny,b\n" * 5))
    assert [len(batch) for batch in small.rows(batch_size=4)] == [4, 4, 2]
    long = "w" * 5_000_000
    large = open_source(write("b.csv", "text,label\n" + f"{long},a\n{long},b\n" * 2))
    assert [len(batch) for batch in large.rows()] == [2, 2]


def test_rows_can_be_read_again_and_side_by_side(write: Any, everything: Callable[..., Any]) -> None:
    source = open_source(write("a.csv", "text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(10))))
    abandoned = source.rows(batch_size=2)
    next(abandoned)
    first, second = everything(source, 3), everything(source)
    assert first == second
    assert next(abandoned).texts == ["t2", "t3"]
