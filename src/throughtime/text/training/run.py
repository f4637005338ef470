"""A whole training run: data in, model directory out, resumable at any moment."""

import contextlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from throughtime.runtime.atomic import output_error, write_file
from throughtime.runtime.model_dir import (
    SCRATCH,
    holds_model,
    read_model_directory,
    write_model_directory,
)
from throughtime.runtime.scores import Scores
from throughtime.spec.errors import ConfigError, ModelError, OutputError, ThroughtimeError, TrainingError
from throughtime.spec.model import ModelConfig
from throughtime.text.claim import claimed
from throughtime.text.corpus import build_corpus
from throughtime.text.encoded import Corpus
from throughtime.text.reading.labels import doubtful_classes
from throughtime.text.request import (
    FORCED,
    STATE_FILE,
    TrainRequest,
    check_place,
    check_request,
    may_replace,
    open_sources,
)
from throughtime.text.training.card import model_card
from throughtime.text.training.export import export
from throughtime.text.training.fitting import fit
from throughtime.text.training.identity import RUN_FILE, RunIdentity
from throughtime.text.training.reporter import Reporter


@dataclass(frozen=True)
class TrainResult:
    """What came of it. `history` is None when --resume found a run that was already finished."""

    out: Path
    config: ModelConfig
    history: list[dict[str, Any]] | None
    validation: Scores | None
    test: Scores | None


def train(request: TrainRequest, reporter: Reporter) -> TrainResult:
    """Trains and writes `request.out`; state is kept in `request.out/.training` until the model is complete.

    Raises:
        DataError, ConfigError, OutputError: see there; nothing is written then.
        TrainingError: training stopped for good. A model of the best epoch so far is written first, if there is one.
    """
    check_request(request)
    corpus = corpus_of(request, reporter)
    by_class = {label: sum(sides.values()) for label, sides in corpus.facts["rows_by_class"].items()}
    for doubt in doubtful_classes(by_class):
        reporter.warn(doubt)
    for part in ("validation", "test"):
        for what, fact in (("texts", "duplicates_train"), ("groups", "shared_groups_train")):
            if shared := corpus.facts[f"{fact}_{part}"]:
                told = f"{shared:,} {what} of the {part} part stand in the training part too"
                reporter.warn(f"{told}, so its scores may be too good")
    identity = RunIdentity.of(corpus, request.config, request.seed)
    scratch = request.out / SCRATCH
    created = [folder for folder in (scratch, *scratch.parents) if not folder.exists()]
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove(scratch, created)
        raise output_error(error, scratch) from error
    with claimed(request.out):
        return _train(request, reporter, corpus, identity, created)


def _train(
    request: TrainRequest, reporter: Reporter, corpus: Corpus, identity: RunIdentity, created: list[Path]
) -> TrainResult:
    """The run itself, in a folder that is there and ours. `created`: folders that were not there before it."""
    check_place(request)  # another run may have ended there while this one read its data
    out, scratch, force = request.out, request.out / SCRATCH, may_replace(request)
    if request.resume and holds_model(out) and (finished := _finished(request, identity, replacing=force)):
        return finished
    # Killed between making the folder and writing what makes it a run, a run leaves nothing to go on from.
    begun = (scratch / RUN_FILE).exists() or (scratch / STATE_FILE).exists()
    if request.resume and begun:
        identity.require_same(scratch)

    started = time.perf_counter()
    try:
        if not (request.resume and begun):
            if request.resume:
                reporter.warn(f"{out} holds no run to resume; this one starts at the beginning")
            _fresh(scratch)
            if force:
                write_file(scratch / FORCED, b"")
            identity.save(scratch)
        fitted = fit(
            corpus, request.config, seed=request.seed, reporter=reporter, scratch=scratch, resume=request.resume
        )
    except (ThroughtimeError, OSError) as error:
        # A run that saved no state, or that would fail again, leaves nothing that could be continued.
        if isinstance(error, TrainingError) or not (scratch / STATE_FILE).exists():
            _remove(scratch, created)
        if isinstance(error, ThroughtimeError):
            raise
        raise output_error(error, scratch) from error
    seconds = time.perf_counter() - started

    facts = {"run": identity.digest, "recipe": request.recipe, "data": request.data, "seconds": round(seconds, 1)}
    model, scores = export(corpus, request.config, fitted, seed=request.seed, facts=facts)
    try:
        write_model_directory(
            out,
            model.config,
            model.tensors,
            model.tokenizer_json,
            model.metrics,
            model.history,
            model_card(model.config, model.metrics),
            force=force,
            keep_scratch=False,
        )
    except OutputError as error:
        raise OutputError(f"{error}; then --resume writes the model without training again") from error
    if fitted.failure is not None:
        raise TrainingError(f"{fitted.failure}; the model of epoch {fitted.best_epoch}, the best so far, is in {out}")
    return TrainResult(out, model.config, model.history, scores["validation"], scores["test"])


def corpus_of(request: TrainRequest, reporter: Reporter) -> Corpus:
    """Reads, splits and tokenises the request's data, or maps what an earlier run has cached."""
    config = request.config
    data, test, validation = open_sources(request)
    return build_corpus(
        data,
        test=test,
        validation=validation,
        tokenizer=config.tokenizer_options(),
        preprocessing=config.preprocessing_config(),
        validation_fraction=config.training.validation_fraction if request.validation is None else 0.0,
        test_fraction=config.training.test_fraction if request.test is None else 0.0,
        seed=request.seed,
        progress=reporter.stage,
    )


def _fresh(scratch: Path) -> None:
    try:
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True)
    except OSError as error:
        raise output_error(error, scratch) from error


def _remove(scratch: Path, created: list[Path]) -> None:
    """Takes away the state, and those of the folders around it that this run created, the deepest first."""
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):
        for folder in created:
            if folder != scratch:
                folder.rmdir()


def _finished(request: TrainRequest, identity: RunIdentity, *, replacing: bool) -> TrainResult | None:
    """The model of this very run, which is complete; None where another one still stands that the run is to replace."""
    try:
        model = read_model_directory(request.out)
    except ModelError:
        if replacing:
            return None
        raise
    if model.config.training.get("run") != identity.digest:
        if replacing:
            return None
        raise ConfigError(
            f"{request.out}: --resume, but a finished model of other data, configuration or seed is there, or one that "
            "another version of throughtime has trained; "
            "choose another folder, or start over with --force"
        )
    shutil.rmtree(request.out / SCRATCH, ignore_errors=True)
    return TrainResult(request.out, model.config, None, None, None)
