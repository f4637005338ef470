"""Probabilities of a torch model for rows of a corpus; what is made of them is `runtime.scores`' matter."""

import numpy as np
import torch

from throughtime.text.batching import BucketBatches
from throughtime.text.encoded import Corpus
from throughtime.text.training.model import TextModel
from throughtime.text.training.rounds import BatchLoader

EVALUATION_BATCH = 32


@torch.no_grad()
def probabilities(model: TextModel, corpus: Corpus, rows: np.ndarray) -> np.ndarray:
    """(len(rows), num_classes) float64 in the order of `rows`; texts without tokens get the corpus's prior."""
    result = np.tile(np.asarray(corpus.prior, dtype=np.float64), (len(rows), 1))
    lengths = corpus.lengths[rows]
    readable = np.flatnonzero(lengths > 0)
    batches = BucketBatches(lengths, readable, batch_size=EVALUATION_BATCH, seed=0, shuffle=False)
    places = list(batches.epoch(0))
    was_training = model.training
    model.eval()
    for place, (ids, sizes, _) in zip(places, BatchLoader(corpus, [rows[p] for p in places]), strict=True):
        result[place] = model(ids, sizes).double().softmax(dim=1).numpy()
    model.train(was_training)
    return result
