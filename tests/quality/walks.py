"""`user_follow` on walks against gensim's DeepWalk on Deezer RO: time and quality, in turn, in one run.

gensim gets walks drawn beforehand, as lists of strings: only Word2Vec's own time counts for it. Ours is all that `fit`
does, the expectation of the walks included, without compiling.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from embedding_assets.embeddings.user_follow import ON_WALKS, SPEC
from embedding_assets.records import PairTable
from embedding_assets.trainers.matrix import as_matrix
from tests.quality.deezer import Asked, asked_of, figures
from tests.quality.judging import Row, published, trained_on

ROUNDS = 3
WALKS, LENGTH = 4, 40
COMPARED = ("topics", "jaccard-cosine-all", "jaccard-cosine-positive")


def compare(data: Path) -> Iterator[Row]:
    """The ratio of times, medians of 3 rounds, then each median figure beside gensim's in the same rounds."""
    asked = asked_of(data)
    table = trained_on(data / "deezer.toml", SPEC)
    ours, peers = [], []
    for seed in range(ROUNDS):
        ours.append(train_ours(table, asked, seed))
        peers.append(train_gensim(table, asked, seed))
    mine, theirs = (
        {name: statistics.median(r[name] for r in rounds) for name in rounds[0]} for rounds in (ours, peers)
    )
    ratio = mine["seconds"] / theirs["seconds"]
    yield Row("walks-seconds", round(mine["seconds"], 2), round(theirs["seconds"], 2))
    yield Row("walks-ratio-of-times", round(ratio, 3), 1.0, 1.0, ratio < 1)
    for name in COMPARED:
        figure, peer = round(mine[name], 4), round(theirs[name], 4)
        yield Row(f"walks-{name}", figure, peer, peer, figure >= peer)


def train_ours(table: PairTable, asked: Asked, seed: int) -> dict[str, float]:
    """Seconds and figures of one fit."""
    result = replace(ON_WALKS, seed=seed, device="cpu").fit(table)
    vectors = published(result.tables[0], SPEC.metric, len(asked.genres))
    return {"seconds": result.seconds - result.compile_seconds, **figures(vectors, asked)}


def train_gensim(table: PairTable, asked: Asked, seed: int) -> dict[str, float]:
    """Seconds and figures of Word2Vec on as many walks as `ON_WALKS` stands for, of the same length and reach."""
    from gensim.models import Word2Vec

    keys = np.array(table.rows.keys.to_pylist())
    sentences = keys[drawn_walks(table, seed)].tolist()
    began = time.perf_counter()
    model = Word2Vec(
        sentences, vector_size=ON_WALKS.dim, window=ON_WALKS.reach, sg=1, negative=5, min_count=1, epochs=1, workers=2,
        seed=seed,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    vectors = np.zeros((len(asked.genres), ON_WALKS.dim), np.float32)
    vectors[np.array(model.wv.index_to_key, dtype=np.int64)] = model.wv.vectors
    return {"seconds": seconds, **figures(vectors, asked)}


def drawn_walks(table: PairTable, seed: int) -> np.ndarray:
    """(4 * users, 40) int, places in `table.rows`; every edge goes both ways, so no walk ends early."""
    graph = both_ways(table)
    degrees, rng = np.diff(graph.indptr), np.random.default_rng(seed)
    here = np.tile(np.arange(len(degrees)), WALKS)
    places = [here]
    for _ in range(LENGTH - 1):
        here = graph.indices[graph.indptr[here] + rng.integers(degrees[here])]
        places.append(here)
    return rng.permutation(np.stack(places, axis=1))


def both_ways(table: PairTable) -> sp.csr_array:
    """Edges among the places of `table.rows`, whose keys are those of its columns in some order."""
    place = {key: at for at, key in enumerate(table.rows.keys.to_pylist())}
    to_row = np.array([place[key] for key in table.columns.keys.to_pylist()])
    edges = as_matrix(table).tocoo()
    ones = np.ones(len(edges.row), np.float32)
    return sp.csr_array((ones, (edges.row, to_row[edges.col])), shape=(len(place), len(place)))
