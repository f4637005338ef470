"""From labelled texts to a Corpus: index the rows, split them, learn the tokenizer from training rows, encode all."""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from throughtime.runtime.encoding import TextEncoder
from throughtime.runtime.pipelines import pipeline
from throughtime.spec.errors import DataError
from throughtime.spec.model import LabelKind, PreprocessingConfig
from throughtime.text.cache import FORMAT, IDS, CorpusParts, cache_root, new_folder, read_corpus, write_corpus
from throughtime.text.encoded import Corpus, Progress
from throughtime.text.facts import corpus_facts
from throughtime.text.indexing import RowTable, index_rows
from throughtime.text.lists import ListSource
from throughtime.text.splitting import TEST, TRAIN, VALIDATION, split
from throughtime.text.tokenizing import TokenizerOptions, train_tokenizer

if TYPE_CHECKING:
    from throughtime.text.reading import RowBatch, Source

__all__ = ["Corpus", "build_corpus", "corpus_from_lists"]


def quiet(stage: str, done: int, total: int | None) -> None:
    """The progress of nobody watching."""


def build_corpus(
    train: "Source",
    *,
    test: "Source | None" = None,
    validation: "Source | None" = None,
    tokenizer: TokenizerOptions,
    preprocessing: PreprocessingConfig,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    seed: int = 0,
    cache_dir: Path | None = None,
    progress: Progress = quiet,
) -> Corpus:
    """The corpus of these sources, mapped from the cache where it is there, else built and cached.

    Texts are streamed; what is held in memory is a few bytes a row. The tokenizer is learnt from training rows alone.

    Args:
        train: source of the training rows, and of those held out by the fractions.
        test, validation: sources of their own; the fraction of the same name is then not held out of `train`.
        tokenizer, preprocessing: how texts become ids.
        validation_fraction, test_fraction, seed: see `splitting.split`.
        cache_dir: folder of cached corpora; None: `cache.cache_root()`.
        progress: called as progress(stage, rows done, rows in all or None).
    Raises:
        DataError: see `indexing.index_rows`, `splitting.split` and `tokenizing.train_tokenizer`; or no training row of
            a class holds a token; or a source changed while it was read.
        OptionError: an option out of range.
        OutputError: the cache cannot be written (the disk is full, …); nothing of it stays.
    """
    sources, fractions = _sides(train, validation, test, validation_fraction, test_fraction)
    prints = [source.fingerprint() for source, _ in sources]
    key = _key(sources, prints, tokenizer, preprocessing, [*fractions, seed])
    folder = (cache_root() if cache_dir is None else cache_dir) / key
    corpus = read_corpus(folder)
    if corpus is None:
        with new_folder(folder) as unfinished:
            with (unfinished / IDS).open("wb") as stream:
                parts = _build(sources, tokenizer, preprocessing, fractions, seed, key, stream, progress)
            for (source, _), before in zip(sources, prints, strict=True):
                if source.fingerprint() != before:
                    raise _changed(source)
            write_corpus(unfinished, parts)
        corpus = read_corpus(folder)
        if corpus is None:
            raise DataError(f"{folder}: removed or damaged just after it was written; check the disk, and start again")
    return corpus


def corpus_from_lists(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    validation: tuple[Sequence[str], Sequence[str]] | None = None,
    label_kind: LabelKind = "str",
    tokenizer: TokenizerOptions,
    preprocessing: PreprocessingConfig,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.0,
    seed: int = 0,
    progress: Progress = quiet,
) -> Corpus:
    """As `build_corpus`, for texts that are in memory anyway: nothing is cached, all arrays are in memory.

    Args:
        texts, labels, groups: one entry a row.
        validation: (texts, labels) of a validation set of its own.
        label_kind: what the labels were before they became strings.
    Raises:
        OptionError: lists of different lengths.
        DataError: as `build_corpus`.
    """
    train = ListSource(texts, labels, groups, label_kind=label_kind, name="training data")
    own = None if validation is None else ListSource(*validation, None, label_kind=label_kind, name="validation data")
    sources, fractions = _sides(train, own, None, validation_fraction, test_fraction)
    prints = [source.fingerprint() for source, _ in sources]
    key = _key(sources, prints, tokenizer, preprocessing, [*fractions, seed])
    stream = io.BytesIO()
    parts = _build(sources, tokenizer, preprocessing, fractions, seed, key, stream, progress)
    return parts.corpus(np.frombuffer(stream.getbuffer(), dtype=np.int32))


def _sides(
    train: "Source",
    validation: "Source | None",
    test: "Source | None",
    validation_fraction: float,
    test_fraction: float,
) -> tuple[list[tuple["Source", int]], tuple[float, float]]:
    """Every source with its side, and the fractions that are held out of the first."""
    sources = [(train, TRAIN)]
    if validation is not None:
        sources.append((validation, VALIDATION))
    if test is not None:
        sources.append((test, TEST))
    return sources, (
        validation_fraction if validation is None else 0.0,
        test_fraction if test is None else 0.0,
    )


def _key(
    sources: Sequence[tuple["Source", int]],
    fingerprints: Sequence[str],
    tokenizer: TokenizerOptions,
    preprocessing: PreprocessingConfig,
    splitting: Sequence[float],
) -> str:
    """Names the corpus by everything that decides a byte of it."""
    facts = {
        "format": FORMAT,
        "tokenizers": version("tokenizers"),
        "sources": [(known, side) for known, (_, side) in zip(fingerprints, sources, strict=True)],
        "tokenizer": vars(tokenizer),
        "pipeline": pipeline(tokenizer.kind, tokenizer.lowercase).to_str(),
        "preprocessing": vars(preprocessing),
        "splitting": list(splitting),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _build(
    sources: Sequence[tuple["Source", int]],
    tokenizer: TokenizerOptions,
    preprocessing: PreprocessingConfig,
    fractions: tuple[float, float],
    seed: int,
    key: str,
    stream: BinaryIO,
    progress: Progress,
) -> CorpusParts:
    """Writes the ids of all rows to `stream` and gives the rest."""
    table = index_rows(sources, progress, lowercase=tokenizer.lowercase)
    side = _split(table, fractions, seed)
    learnt = train_tokenizer(_training_texts(table, side, progress), tokenizer).to_str()
    encoder = TextEncoder(learnt, preprocessing)
    lengths = np.zeros(table.rows, dtype=np.int32)
    counts = np.zeros((3, encoder.vocabulary_size), dtype=np.int64)
    for start, batch in _batches(table, "encoding", progress):
        encoded = encoder.encode(batch.texts)
        lengths[start : start + len(encoded)] = [len(ids) for ids in encoded]
        stream.write(np.concatenate(encoded, dtype=np.int32).tobytes())
        for number in (TRAIN, VALIDATION, TEST):
            chosen = [ids for ids, at in zip(encoded, side[start : start + len(encoded)], strict=True) if at == number]
            if chosen:
                counts[number] += np.bincount(np.concatenate(chosen), minlength=counts.shape[1])
    if not lengths.any():
        raise DataError(f"{sources[0][0].name}: no text holds a token; give other texts")
    labels = np.where((side == TRAIN) & (lengths == 0), np.int32(-1), table.labels)
    rows_of_class = np.bincount(labels[(side == TRAIN) & (labels >= 0)], minlength=len(table.classes))
    if not rows_of_class.all():
        name = table.classes[int(np.argmin(rows_of_class))]
        raise DataError(
            f"{sources[0][0].name}: every training text of the class {name!r} is empty; add texts, or remove it"
        )
    return CorpusParts(
        offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)]),
        labels=labels,
        split=side,
        counts=counts[TRAIN],
        classes=table.classes,
        label_kind=table.label_kind,
        prior=tuple((rows_of_class / rows_of_class.sum()).tolist()),
        tokenizer_json=learnt,
        facts=corpus_facts(table, side, lengths, counts),
        key=key,
    )


def _split(table: RowTable, fractions: tuple[float, float], seed: int) -> NDArray[np.int8]:
    """The side of every row: the training source divided, the others whole."""
    own = table.starts[1]
    divided = split(
        table.labels[:own],
        table.groups,
        table.hashes[:own],
        validation_fraction=fractions[0],
        test_fraction=fractions[1],
        seed=seed,
        empty=table.empty[:own],
        drawn_by=table.exact_hashes[:own],
        of_files=not isinstance(table.sources[0][0], ListSource),
    )
    sizes = np.diff(table.starts)[1:]
    return np.concatenate([divided, np.repeat(np.array([side for _, side in table.sources[1:]], np.int8), sizes)])


def _training_texts(table: RowTable, side: NDArray[np.int8], progress: Progress) -> Iterator[str]:
    own = table.starts[1]
    for start, batch in _batches(table, "counting tokens", progress, sources=1, rows=own):
        for text, at in zip(batch.texts, side[start : start + len(batch.texts)], strict=True):
            if at == TRAIN:
                yield text


def _batches(
    table: RowTable, stage: str, progress: Progress, *, sources: int | None = None, rows: int | None = None
) -> Iterator[tuple[int, "RowBatch"]]:
    """Every batch of the sources again, with the number of its first row in the corpus.

    Raises:
        DataError: there are more or fewer rows than in the first pass.
    """
    total = table.rows if rows is None else rows
    for number, (source, _) in enumerate(table.sources[:sources]):
        start, end = table.starts[number], table.starts[number + 1]
        at = start
        for batch in source.rows():
            if at + len(batch.texts) > end:
                break
            yield at, batch
            at += len(batch.texts)
            progress(stage, at, total)
        else:
            if at == end:
                continue
        raise _changed(source)


def _changed(source: "Source") -> DataError:
    return DataError(f"{source.name}: its rows changed while it was read; start again when nothing writes to it")
