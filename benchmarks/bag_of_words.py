"""`python -m benchmarks.bag_of_words DATA`: a bag of words scored on the texts that `throughtime train` holds out.

TF-IDF of words and pairs of words (sublinear counts, of those in two texts or more), or of one to three characters for
languages that put no spaces, then logistic regression, by scikit-learn. Its one number that has to be chosen, C, is
chosen on the very texts that are scored, by log loss: the bag is given that advantage.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.table import table
from throughtime.runtime.scores import Scores, score
from throughtime.spec.errors import ThroughtimeError
from throughtime.text.config import with_changes
from throughtime.text.reading import Columns, open_source
from throughtime.text.recipe import load_recipe
from throughtime.text.request import TrainRequest
from throughtime.text.splitting import TRAIN, VALIDATION
from throughtime.text.training.reporter import Silent
from throughtime.text.training.run import corpus_of

STRENGTHS: Final = (1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Bag:
    """Scores on the held-out texts for one C; seconds of learning the features and the weights."""

    strength: float
    features: int
    seconds: float
    scores: Scores


def bags(data: str, columns: Columns, changes: Sequence[str], seed: int, *, characters: bool) -> Iterator[Bag]:
    """One for each C, learned on the training part of recipe `default` and scored on its validation part."""
    config = with_changes(load_recipe("default"), changes)
    request = TrainRequest(data, Path(), config, "default", columns, seed=seed)
    corpus = corpus_of(request, Silent())
    texts = [text for batch in open_source(data, columns).rows() for text in batch.texts]
    train, held_out = corpus.rows(TRAIN), corpus.rows(VALIDATION)
    started = time.perf_counter()
    pieces: dict[str, Any] = {"analyzer": "char", "ngram_range": (1, 3)} if characters else {"ngram_range": (1, 2)}
    vectorizer = TfidfVectorizer(**pieces, min_df=2, sublinear_tf=True)
    known = vectorizer.fit_transform([texts[row] for row in train])
    learning = time.perf_counter() - started
    new = vectorizer.transform([texts[row] for row in held_out])
    for strength in STRENGTHS:
        started = time.perf_counter()
        model = LogisticRegression(C=strength, max_iter=1000).fit(known, corpus.labels[train])
        seconds = learning + time.perf_counter() - started
        # Of classes that no training text has the model knows nothing.
        probabilities = np.zeros((len(held_out), len(corpus.classes)))
        probabilities[:, model.classes_] = model.predict_proba(new)
        scores = score(corpus.labels[held_out], probabilities, corpus.classes)
        yield Bag(strength, known.shape[1], seconds, scores)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bag_of_words", description=__doc__)
    parser.add_argument("data", metavar="DATA", help="as of throughtime train")
    parser.add_argument("--text-column", metavar="NAME")
    parser.add_argument("--label-column", metavar="NAME")
    parser.add_argument("--group-column", metavar="NAME")
    parser.add_argument("--characters", action="store_true", help="of one to three characters in place of words")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="as of throughtime train")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    columns = Columns(text=given.text_column, label=given.label_column, group=given.group_column)
    try:
        found = list(bags(given.data, columns, given.set, given.seed, characters=given.characters))
    except ThroughtimeError as error:
        print(f"failed: {error}", file=sys.stderr)
        return 2
    best = min(found, key=lambda bag: bag.scores.log_loss)
    rows = [
        [
            f"{bag.strength:g}",
            f"{bag.scores.accuracy:.4f}",
            f"{bag.scores.log_loss:.4f}",
            f"{bag.seconds:.0f} s",
            "best" if bag is best else "",
        ]
        for bag in found
    ]
    print(f"{best.features:,} features; {best.scores.count:,} held-out texts")
    print(table(["C", "accuracy", "log loss", "training", ""], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
