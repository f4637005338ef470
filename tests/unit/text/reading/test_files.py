"""Lines of bytes: faults of encoding are named with their line."""

from io import BytesIO
from pathlib import Path

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import files
from throughtime.text.reading.files import combined, decoded, shown, shown_path, text_lines


def test_lines_are_cut_at_line_feeds_alone() -> None:
    content = "a\r\nb\rc\u2028d\x85e\x0bf\n\nlast"
    assert list(text_lines(BytesIO(content.encode()), "f")) == ["a\r\n", "b\rc\u2028d\x85e\x0bf\n", "\n", "last"]


def test_a_byte_order_mark_is_dropped_at_the_start_alone() -> None:
    content = "\ufefftext\n\ufeffkept\n"
    assert list(text_lines(BytesIO(content.encode()), "f")) == ["text\n", "\ufeffkept\n"]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"a\nb\nna\xefve\n", ["f, line 3: invalid UTF-8 (byte 0xEF at position 3)", "iconv"]),
        (b"a\nb\xed\xa0\x80\n", ["f, line 2: invalid UTF-8 (byte 0xED at position 2)"]),
        (b"a\nb\0c\n", ["f, line 2: a NUL byte", "remove the byte"]),
        ("text\n".encode("utf-16"), ["f, line 1: not UTF-8 but UTF-16", "iconv -f utf-16"]),
    ],
)
def test_faults_name_the_line_and_the_remedy(content: bytes, parts: list[str]) -> None:
    with pytest.raises(DataError) as by_lines:
        list(text_lines(BytesIO(content), "f"))
    with pytest.raises(DataError) as at_once:
        decoded(content, "f")
    for part in parts:
        assert part in str(by_lines.value)
        assert part in str(at_once.value)


def test_a_line_without_end_is_refused_before_it_fills_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 10)
    assert list(text_lines(BytesIO(b"123456789\n"), "f")) == ["123456789\n"]
    with pytest.raises(DataError, match="f, line 2: longer than 10 bytes"):
        list(text_lines(BytesIO(b"a\n1234567890\n"), "f"))


def test_what_is_shown_is_short_and_on_one_line() -> None:
    assert shown("plain – 好") == "plain – 好"
    assert shown("a\nb\x1b[31m\ud800") == r"a\nb\x1b[31m\ud800"
    assert shown("x" * 100, 10) == "xxxxxxxxx…"
    assert shown_path(Path("odd\nname") / ("d" * 200)) == r"odd\nname/" + "d" * 200


def test_a_digest_differs_where_the_boundary_between_its_parts_does() -> None:
    assert combined("ab", "c") != combined("a", "bc")
    assert combined("\ud800") == combined("\ud800")
