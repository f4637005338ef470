"""How an embedding starts: at random, from pre-trained vectors, or from the training texts' own co-occurrences."""

from typing import Any

from throughtime.text.config import Encoder
from throughtime.text.encoded import Corpus
from throughtime.text.training.cooccurrence import cooccurrence_vectors, enough_words
from throughtime.text.training.model import TextModel
from throughtime.text.training.reporter import Reporter
from throughtime.text.vectors import load_vectors


def initial_embedding(
    model: TextModel, corpus: Corpus, encoder: Encoder, *, seed: int, reporter: Reporter
) -> dict[str, Any]:
    """Sets the model's first embedding as the configuration asks; returns facts for the model card.

    Rows without a vector keep their random values, or are set to zero with `unknown_vectors: zeros`.
    """
    weight = model.encoder.embedding.weight
    if encoder.embedding_init == "random":
        return {}
    if encoder.embedding_init == "cooccurrence" and not enough_words(corpus, encoder.embedding_size):
        reporter.warn(
            f"{len(corpus.vocabulary):,} tokens are too few for vectors of size {encoder.embedding_size} from their "
            "company; they start at random"
        )
        return {"embedding_init": "random"}
    if encoder.embedding_init == "cooccurrence":
        reporter.stage("word vectors", 0, None)
        vectors = cooccurrence_vectors(corpus, size=encoder.embedding_size, seed=seed)
        if encoder.unknown_vectors == "zeros":
            weight.data[2:] = 0.0
        model.set_embedding(vectors.matrix * encoder.embedding_std, vectors.found)
        return {"embedding_init": "cooccurrence", "vectors_found": int(vectors.found.sum())}
    assert encoder.vectors is not None
    reporter.stage(f"vectors from {encoder.vectors.name}", 0, None)
    loaded = load_vectors(
        encoder.vectors, corpus.vocabulary, expected_size=encoder.embedding_size, counts=corpus.counts
    )
    if encoder.unknown_vectors == "zeros":
        weight.data[2:] = 0.0
    model.set_embedding(loaded.matrix, loaded.found)
    share = "" if loaded.token_share is None else f", {loaded.token_share:.1%} of the running tokens"
    reporter.note(f"{encoder.vectors.name}: covers {loaded.vocabulary_share:.1%} of the vocabulary{share}")
    return {
        "embedding_init": encoder.vectors.name,
        "vectors_found": int(loaded.found.sum()),
        "vocabulary_covered": round(loaded.vocabulary_share, 4),
        "tokens_covered": None if loaded.token_share is None else round(loaded.token_share, 4),
    }
