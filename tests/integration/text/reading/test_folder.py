"""A folder a class, aclImdb included."""

import os
from pathlib import Path
from typing import Any

import pytest

from throughtime.spec.errors import DataError
from throughtime.text.reading import Columns, open_source


def test_each_file_is_a_text_of_its_folders_class(write: Any, everything: Any, tmp_path: Path) -> None:
    files = {
        "d/b/1.txt": "one\n",
        "d/b/deep/2": "two",
        "d/a/3.txt": "\ufeffthree",
        "d/.git/x": "no",
        "d/a/.hidden": "no",
    }
    for name, content in files.items():
        write(name, content)
    write("d/README.md", "about")
    source = open_source(str(tmp_path / "d"))
    rows = everything(source)
    assert rows.texts == ["three", "one\n", "two"]
    assert rows.labels == ["a", "b", "b"]
    assert rows.places == [str(tmp_path / "d" / name) for name in ("a/3.txt", "b/1.txt", "b/deep/2")]
    assert source.label_kind == "str"


def test_acl_imdb_is_its_training_split_without_unsup_and_grouped_by_movie(acl_imdb: Path, everything: Any) -> None:
    rows = everything(open_source(str(acl_imdb)))
    assert rows.texts == ["Bad.<br /><br />Bad.", "Not good", "Worse", "Très good", "Good"]
    assert rows.labels == ["neg", "neg", "neg", "pos", "pos"]
    assert rows.groups == ["tt0000001", "tt0000001", "tt0000002", "tt0000003", "tt0000002"]
    assert rows == everything(open_source(str(acl_imdb / "train"), Columns(group="movie")))


def test_the_test_split_of_acl_imdb_is_read_when_it_is_named(acl_imdb: Path, everything: Any) -> None:
    rows = everything(open_source(str(acl_imdb / "test")))
    assert rows.texts == ["A test", "Another test"]
    assert rows.labels == ["neg", "pos"]
    assert rows.groups is None


def test_reviews_that_the_list_of_movies_does_not_know_are_refused(acl_imdb: Path, everything: Any) -> None:
    (acl_imdb / "train" / "neg" / "3_1.txt").write_text("new")
    with pytest.raises(DataError, match=r"neg/3_1\.txt: not a review of the official archive.*remove this file"):
        everything(open_source(str(acl_imdb)))


def test_a_list_of_movies_that_is_none_is_refused(acl_imdb: Path, everything: Any) -> None:
    (acl_imdb / "train" / "urls_neg.txt").write_text("http://www.imdb.com/title/tt1/usercomments\nnothing\n")
    with pytest.raises(DataError, match=r"urls_neg\.txt, line 2: no address of a movie"):
        everything(open_source(str(acl_imdb)))


def test_train_beside_other_classes_is_a_class(write: Any, everything: Any, tmp_path: Path) -> None:
    for label in ("bus", "test", "train"):
        write(f"d/{label}/by day/1.txt", label)
    assert everything(open_source(str(tmp_path / "d"))).labels == ["bus", "test", "train"]


def test_unsup_is_a_class_where_it_is_not_acl_imdbs(write: Any, everything: Any, tmp_path: Path) -> None:
    for label in ("neg", "unsup"):
        write(f"d/{label}/1.txt", label)
    assert everything(open_source(str(tmp_path / "d"))).labels == ["neg", "unsup"]


def test_without_labels_all_files_are_texts(acl_imdb: Path, everything: Any) -> None:
    rows = everything(open_source(str(acl_imdb / "test"), labelled=False))
    assert rows[:2] == (["A test", "Another test"], None)


@pytest.mark.parametrize(
    ("files", "columns", "parts"),
    [
        ({"d/a/1": b"x", "d/b/2": b"ok\nna\xefve"}, Columns(), ["d/b/2, line 2: invalid UTF-8", "iconv"]),
        ({"d/a/1": b"x", "d/b/2": b"nu\0l"}, Columns(), ["d/b/2, line 1: a NUL byte"]),
        ({"d/1.txt": b"x"}, Columns(), ["d: no folder a class in it; put each class's texts into a folder"]),
        ({"d/1.csv": b"x"}, Columns(), ["d: no folder a class in it, but tables; give one", "d/1.csv"]),
        ({"d/a/1": b"x", "d/b/.keep": b""}, Columns(), ["d/b: a class without files", "or remove the folder"]),
        ({"d/a/1": b"x"}, Columns(text="t"), ["d: a folder has no columns; leave out --text-column"]),
        ({"d/a/1": b"x"}, Columns(group="movie"), ["d: a folder has no column 'movie'; leave out --group-column"]),
    ],
)
def test_what_cannot_be_used_is_named(
    files: dict[str, bytes], columns: Columns, parts: list[str], write: Any, everything: Any, tmp_path: Path
) -> None:
    for name, content in files.items():
        write(name, content)
    with pytest.raises(DataError) as caught:
        everything(open_source(str(tmp_path / "d"), columns))
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(write: Any, everything: Any, tmp_path: Path) -> None:
    path = Path(write("d/a/1", "x"))
    path.chmod(0)
    with pytest.raises(DataError, match=r"d/a/1: cannot be read \(Permission denied\)"):
        everything(open_source(str(tmp_path / "d")))


def test_a_link_to_nothing_is_named(write: Any, everything: Any, tmp_path: Path) -> None:
    write("d/a/1", "x")
    (tmp_path / "d" / "a" / "2").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"d/a/2: cannot be read \(No such file or directory\)"):
        everything(open_source(str(tmp_path / "d")))


def _tree(root: Path, names: tuple[str, ...]) -> str:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return str(root)


def test_parts_of_a_data_set_are_no_classes(tmp_path: Path) -> None:
    part = ("alt.atheism/1", "alt.atheism/2", "sci.space/3")
    names = tuple(f"20news-bydate-{split}/{name}" for split in ("test", "train") for name in part)
    path = _tree(tmp_path / "20news", names)
    with pytest.raises(DataError, match=r"'20news-bydate-test', '20news-bydate-train' are parts of one data") as caught:
        open_source(path)
    assert len(next(open_source(path, labelled=False).rows())) == 6
    assert f"give one as DATA ({path}/20news-bydate-train) and the other to --test" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("en/news/1", "en/blog/2", "de/news/3", "de/blog/4"),
        ("train-a/x/1", "train-a/y/2", "test-a/y/2", "test-a/z/2"),
        ("train-a/x/1", "train-a/y/1", "train-a/2", "test-a/x/3", "test-a/y/3"),
    ],
)
def test_classes_may_hold_folders(names: tuple[str, ...], tmp_path: Path, everything: Any) -> None:
    assert len(everything(open_source(_tree(tmp_path / "data", names))).texts) == len(names)
