"""What a person asks `train` for, and what of it is checked before the training library is loaded.

Loading that takes seconds, which a mistyped name should not cost.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from throughtime.runtime.atomic import output_error
from throughtime.runtime.model_dir import SCRATCH, check_target, holds_model
from throughtime.spec.errors import ConfigError, DataError, OutputError
from throughtime.text.claim import claimed
from throughtime.text.config import Encoder, TrainConfig
from throughtime.text.reading import Columns, Source, open_source

STATE_FILE: Final = "state.ckpt"
"""File in the scratch folder: what --resume goes on from; none before the first steps are done."""
FORCED: Final = "force"
"""File in the scratch folder of a run that was begun with --force: it may replace a model, also when it goes on."""


@dataclass(frozen=True)
class TrainRequest:
    """What a person asks for.

    Args:
        data, test, validation: as the command line's DATA; test and validation may be None, then parts of `data` are
            held out as the configuration says.
        download: whether `imdb` may be fetched.
        recipe: where the configuration came from, for the model card.
    """

    data: str
    out: Path
    config: TrainConfig
    recipe: str
    columns: Columns
    test: str | None = None
    validation: str | None = None
    download: bool = False
    seed: int = 0
    resume: bool = False
    force: bool = False


def check_request(request: TrainRequest) -> None:
    """Whether the run can be begun, as far as that can be known without reading the data.

    Raises:
        ConfigError, DataError, OutputError: what is asked for contradicts itself, vectors are missing, or the place is
            taken, also by another run that is under way.
    """
    check_vectors(request.config.encoder)
    if request.resume and request.force:
        raise ConfigError("--resume continues a run and --force starts over; give one of the two")
    with claimed(request.out):
        check_place(request)


def check_place(request: TrainRequest) -> None:
    """Whether the run may write where it is to; asked again by the run once it holds the folder.

    Raises:
        OutputError: the place is taken, or not to be written to.
    """
    force = may_replace(request)
    if request.resume and holds_model(request.out):
        return
    check_target(request.out, force=force)
    if (request.out / SCRATCH).exists() and not request.resume and not force:
        raise OutputError(
            f"{request.out} holds an unfinished run; continue it with --resume, or start over with --force"
        )


def may_replace(request: TrainRequest) -> bool:
    """Whether a model in the run's place gives way: it was begun with --force, now or before it was cut off.

    Raises:
        OutputError: the place cannot be looked at.
    """
    try:
        return request.force or (request.resume and (request.out / SCRATCH / FORCED).exists())
    except OSError as error:
        raise output_error(error, request.out) from error


def open_sources(request: TrainRequest) -> tuple[Source, Source | None, Source | None]:
    """The request's data, test and validation data: found, fetched where asked, their columns known; rows unread.

    Raises:
        DataError: one of them is not there, or not what it should be.
        OutputError: data that was fetched cannot be kept.
    """
    test = None if request.test is None else _held_out(request.test, request)
    validation = None if request.validation is None else _held_out(request.validation, request)
    return open_source(request.data, request.columns, download=request.download), test, validation


def check_vectors(encoder: Encoder) -> None:
    """Whether the vectors that the configuration asks for are there: to be asked before the long work.

    Raises:
        ConfigError: it asks for vectors, but names no file.
        DataError: the file does not exist.
    """
    if encoder.embedding_init != "vectors":
        return
    if encoder.vectors is None:
        raise ConfigError("encoder.vectors: this configuration starts from pre-trained vectors; give --vectors FILE")
    if not encoder.vectors.is_file():
        raise DataError(f"{encoder.vectors}: there is no such file; give a file of word vectors in text format")


def _held_out(data: str, request: TrainRequest) -> Source:
    """A source of its own, which is never split: it need not have the column of groups, nor a group in each row."""
    columns = replace(request.columns, group_needed=False)
    try:
        return open_source(data, columns, download=request.download)
    except DataError:
        if columns.group is None:
            raise
        return open_source(data, replace(columns, group=None), download=request.download)
