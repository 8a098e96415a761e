"""Graphs to factorise, and how well a factorisation ranks what was held out; the same for us and for a peer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.trainers.matrix import dimensions, row_of_each

COMMUNITIES = 50
TOP = 10


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One graph in three parts without a common pair, each (users, items) CSR of ones."""

    train: sp.csr_array
    validation: sp.csr_array
    test: sp.csr_array


def planted_graph(edges: int, *, seed: int = 0) -> sp.csr_array:
    """About `edges` pairs of ones: three quarters inside one of 50 communities, popularity falling as rank ** -0.7.

    16.7 pairs a user and 50 an item on average, as in the Twitch graph; the graph grows with its edges.
    """
    rng = np.random.default_rng(seed)
    users, items = int(edges * 0.06), int(edges * 0.02)
    drawn = int(edges * 1.45)  # repeats fall out
    user, item = (_popular(rng, size, drawn) for size in (users, items))
    inside = rng.random(drawn) < 0.75
    item[inside] = item[inside] // COMMUNITIES * COMMUNITIES + user[inside] % COMMUNITIES
    codes = np.unique(user.astype(np.int64) * items + np.minimum(item, items - 1))
    codes = np.sort(rng.permutation(codes)[:edges])
    return _ones(codes // items, codes % items, (users, items))


def twitch_graph(data: Path) -> sp.csr_array:
    """(9,498 users, 2,463 games and other items) of ones."""
    table = pq.read_table(data / "twitch_de" / "features.parquet")
    users, items = (np.unique(table[name].to_numpy(), return_inverse=True)[1] for name in ("user_id", "item_id"))
    return _ones(users, items, (int(users.max()) + 1, int(items.max()) + 1))


def split(graph: sp.csr_array, *, seed: int) -> Split:
    """A fifth of the pairs for the test and a tenth of the rest for validation, drawn at random."""
    rng = np.random.default_rng(seed)
    rows, part = row_of_each(graph), rng.random(graph.nnz)
    test, validation = part < 0.2, (part >= 0.2) & (part < 0.28)

    def of(chosen: np.ndarray) -> sp.csr_array:
        return _ones(rows[chosen], graph.indices[chosen], dimensions(graph))

    return Split(train=of(~test & ~validation), validation=of(validation), test=of(test))


def ranking(users: np.ndarray, items: np.ndarray, known: sp.csr_array, wanted: sp.csr_array) -> tuple[float, float]:
    """Recall@10 and NDCG@10, means over the users who want something; known items are not ranked.

    Recall is hits over the smaller of 10 and the number wanted, so that a perfect ranking has 1.
    """
    asked = np.flatnonzero(np.diff(wanted.indptr))
    discounts = 1 / np.log2(np.arange(2, TOP + 2))
    recalls, gains = [], []
    for block in np.array_split(asked, -(-len(asked) // 1024)):
        scores = users[block] @ items.T
        scores[known[block].toarray() > 0] = -np.inf
        top = np.argpartition(-scores, TOP, axis=1)[:, :TOP]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1), axis=1)
        hits = np.take_along_axis(wanted[block].toarray(), top, axis=1)
        most = np.minimum(np.diff(wanted.indptr)[block], TOP)
        recalls.append(hits.sum(axis=1) / most)
        gains.append(hits @ discounts / np.cumsum(discounts)[most - 1])
    return float(np.concatenate(recalls).mean()), float(np.concatenate(gains).mean())


def objective(graph: sp.csr_array, users: np.ndarray, items: np.ndarray, alpha: float, regularization: float) -> float:
    """Of implicit feedback (see `trainers.als`), divided by the number of pairs; in float64."""
    users, items = users.astype(np.float64), items.astype(np.float64)
    seen = 0.0
    for part in np.array_split(np.arange(graph.nnz), -(-graph.nnz // (1 << 18))):
        rows = np.searchsorted(graph.indptr, part, side="right") - 1
        scores = np.einsum("nd,nd->n", users[rows], items[graph.indices[part]])
        seen += float(((1 + alpha * graph.data[part]) * (1 - scores) ** 2 - scores**2).sum())
    everything = float(((users.T @ users) * (items.T @ items)).sum())
    length = float((users**2).sum() + (items**2).sum())
    return (everything + seen + regularization * length) / graph.nnz


def as_table_of_pairs(graph: sp.csr_array) -> PairTable:
    """The same graph for our trainers."""
    users, items = (
        Vocabulary(entity=name, keys=pa.array(np.arange(size).astype(str)), counts=np.ones(size))
        for name, size in zip(("user", "item"), dimensions(graph), strict=True)
    )
    ids = row_of_each(graph).astype(np.int32)
    return PairTable(rows=users, columns=items, row_ids=ids, col_ids=graph.indices, counts=graph.data)


def _popular(rng: np.random.Generator, size: int, drawn: int) -> np.ndarray:
    chance = np.cumsum((np.arange(size) + 10.0) ** -0.7)
    return np.searchsorted(chance / chance[-1], rng.random(drawn))


def _ones(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> sp.csr_array:
    return sp.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
