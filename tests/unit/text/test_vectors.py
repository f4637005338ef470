"""Word vectors in text formats: what is read, what is covered, what is refused."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from throughtime.spec.errors import DataError
from throughtime.text.vectors import load_vectors

VOCABULARY = ["[PAD]", "[UNK]", "the", "film", "don't", "好"]
GLOVE = "film 1.5 -2 3e-1\nelse 7 7 7\n好 0 0 1\n[PAD] 9 9 9\n. . . 4 5 6\nfilm 8 8 8\n"


def written(folder: Path, content: str | bytes, name: str = "vectors.txt") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_glove_format(tmp_path: Path) -> None:
    vectors = load_vectors(written(tmp_path, GLOVE), VOCABULARY, 3, counts=np.array([0, 5, 70, 20, 4, 1]))
    assert vectors.found.tolist() == [False, False, False, True, False, True]
    assert vectors.matrix.dtype == np.float32
    assert vectors.matrix[3].tolist() == [1.5, -2.0, np.float32(0.3)]  # the first of two counts
    assert not vectors.matrix[~vectors.found].any()
    assert vectors.vocabulary_share == 0.5
    assert vectors.token_share == 0.21


def test_word2vec_format_compressed_and_a_mapping(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(("6 3\n" + GLOVE).encode()), "vectors.txt.gz")
    vectors = load_vectors(path, {token: place for place, token in enumerate(VOCABULARY)})
    assert vectors.matrix.shape == (6, 3)
    assert vectors.found.sum() == 2
    assert vectors.token_share is None


def test_a_word_may_hold_spaces_and_be_a_number(tmp_path: Path) -> None:
    vectors = load_vectors(written(tmp_path, "film 1 2\n7 3 4\nat me@home.org 5 6\n. . . 7 8\n"), [*VOCABULARY, "7"], 2)
    assert vectors.matrix[6].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("film 1 2\n", "line 1: its vectors have 2 numbers, but embedding_size is 3; set encoder.embedding_size to 2"),
        ("5 2\nfilm 1 2\n", "line 1: its vectors have 2 numbers, but embedding_size is 3"),
        ("else 1 2 3\nfilm 1 2\n", "line 2: 2 numbers, but the vectors before have 3"),
        ("else 1 2 3\nfilm 1 2 3 4\n", "line 2: 4 numbers, but the vectors before have 3"),
        ("film\n", "line 1: no numbers after the word; give word vectors in text format"),
        ("film 1 x 3\n", "line 1: not a number .*'x'"),
        ("film 1 nan 3\n", "line 1: a number is not finite"),
        ("film 1 1e99 3\n", "line 1: a number is not finite"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("2 3\nfilm 1 2 3\n", "promises 2 vectors, but 1 follow"),
        ("kino 1 2 3\n", "no vector for any of the 4 tokens"),
    ],
)
def test_what_is_refused_names_place_and_remedy(tmp_path: Path, content: str, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        load_vectors(path, VOCABULARY, 3)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_file_that_is_cut_off_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.txt: cannot be read"):
        load_vectors(tmp_path / "none.txt", VOCABULARY)
    with pytest.raises(DataError, match="cannot be read"):
        load_vectors(tmp_path, VOCABULARY)
    whole = gzip.compress(GLOVE.encode() * 50)
    for content in (whole[: len(whole) // 2], GLOVE.encode(), whole[:-8] + bytes(8)):
        with pytest.raises(DataError, match="damaged or cut off"):
            load_vectors(written(tmp_path, content, "cut.gz"), VOCABULARY, 3)


def test_binary_vectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        load_vectors(written(tmp_path, b"2 3\nfilm \x00\x01\x02\x80\x0a\xff else \x00\x80"), VOCABULARY, 3)
