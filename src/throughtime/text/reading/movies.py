"""Which movie a review of the Large Movie Review Dataset is about: its groups, never to be split.

Line N (from 0) of urls_CLASS.txt is the page of review N of that class, whose file is called N_RATING.txt.

Source: Maas et al. 2011, README of aclImdb_v1.
"""

import re
from typing import Final

from throughtime.spec.errors import DataError

_TITLE: Final = re.compile(r"/title/(tt[0-9]+)")


def parse_movies(content: str, name: str) -> list[str]:
    """Movie of each review, by its number, from the content of a urls_*.txt file `name`.

    Raises:
        DataError: a line names no movie.
    """
    movies = []
    for number, line in enumerate(content.splitlines(), 1):
        found = _TITLE.search(line)
        if found is None:
            raise DataError(f"{name}, line {number}: no address of a movie; unpack the official archive again")
        movies.append(found.group(1))
    return movies


def movie_of(file_name: str, movies: list[str], where: str) -> str:
    """Movie of the review in the file `file_name` ("17_8.txt").

    Raises:
        DataError: the name has no number, or one that is not in the list.
    """
    number = file_name.partition("_")[0]
    if not (number.isascii() and number.isdigit() and int(number) < len(movies)):
        raise DataError(
            f"{where}: not a review of the official archive, whose movies the urls_*.txt files list; "
            "remove this file, or remove the urls_*.txt files to use the folder without movies"
        )
    return movies[int(number)]
