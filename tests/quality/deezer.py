"""Deezer RO, friendships only: which genres a user likes, and how many friends two users share (PEERS.md)."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from benchmarks.probe import most_frequent
from embedding_assets.embeddings import user_follow
from tests.quality.judging import Row, at_least, open_graph, raw, read_off, trained_on, vectors_of

GENRES = 20
#: DeepWalk's: the best of the libraries on all of these.
PEERS = {"topics": 0.564, "jaccard-cosine-all": 0.809, "jaccard-cosine-positive": 0.487}


class Asked(NamedTuple):
    """What the vectors are asked.

    Attributes:
        genres: (users, 20) bool, who likes each of the most frequent genres.
        fold: (users, 20) int, 0 in the tested 30% of each genre's split, else -1.
        pairs: (20,000, 2) int, users.
        jaccard: (20,000,) float64, of their friends.
    """

    genres: np.ndarray
    fold: np.ndarray
    pairs: np.ndarray
    jaccard: np.ndarray


def compare(data: Path) -> Iterator[Row]:
    """Friends by walks beside DeepWalk, then friends factorised."""
    asked = asked_of(data)
    table = trained_on(data / "deezer.toml", user_follow.SPEC)
    for name, trainer in (("on-walks", user_follow.ON_WALKS), ("factorised", user_follow.FACTORISED)):
        vectors = vectors_of(table, user_follow.SPEC, trainer, len(asked.genres))
        for figure, ours in figures(vectors, asked).items():
            row = f"deezer-{name}-{figure}"
            held = name == "on-walks" and figure in PEERS
            yield at_least(row, ours, PEERS[figure], 0.0) if held else Row(row, round(ours, 4), PEERS.get(figure))


def figures(vectors: np.ndarray, asked: Asked) -> dict[str, float]:
    """Topic AUC; Spearman's rho of three measures with the Jaccard index, over all pairs and over those above 0."""
    found = {"topics": read_off(vectors, asked.genres, asked.fold)[0]}
    positive = asked.jaccard > 0
    for name, near in nearness(*(vectors[side].astype(np.float64) for side in asked.pairs.T)).items():
        found[f"jaccard-{name}-all"] = float(spearmanr(near, asked.jaccard)[0])
        found[f"jaccard-{name}-positive"] = float(spearmanr(near[positive], asked.jaccard[positive])[0])
    return found


def nearness(first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """(n,) each, of (n, D) vectors: dot product, cosine (0 where a vector is 0), 1 - distance."""
    dot = (first * second).sum(axis=1)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = np.divide(dot, lengths, out=np.zeros_like(dot), where=lengths > 0)
    return {"cosine": cosine, "dot": dot, "euclidean": 1.0 - np.linalg.norm(first - second, axis=1)}


def asked_of(data: Path) -> Asked:
    """Labels, splits and pairs of the protocol."""
    from sklearn.model_selection import train_test_split

    with TemporaryDirectory() as folder:
        topics = raw(open_graph(data / "deezer.toml", folder), "user_topics")
    users = topics["user_id"].cast(pa.int64()).to_numpy()
    encoded = topics["topic"].combine_chunks().dictionary_encode()
    genre = np.asarray(encoded.indices)
    chosen = most_frequent(encoded.dictionary.to_pylist(), np.bincount(genre), GENRES)
    genres = np.zeros((users.max() + 1, GENRES), bool)
    fold = np.full(genres.shape, -1)
    for column, one in enumerate(chosen):
        genres[users[genre == one], column] = True
        answers = genres[:, column]
        _, tested = train_test_split(np.arange(len(answers)), test_size=0.3, random_state=0, stratify=answers)
        fold[tested, column] = 0
    drawn = pq.read_table(data / "deezer_ro" / "jaccard_pairs.parquet")
    pairs = np.stack([drawn[name].to_numpy() for name in ("user_a", "user_b")], axis=1)
    return Asked(genres, fold, pairs, drawn["jaccard"].to_numpy())
