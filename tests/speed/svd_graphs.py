"""Graphs to factorise: synthetic ones of a stated size, and the shared follow graphs with links held out."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from embedding_assets.records import PairTable, Vocabulary
from tests.speed.als_quality import as_table_of_pairs, ranking

#: Users whose held-out links are looked for.
ASKED = 2_000


class Links(NamedTuple):
    """What recall is measured on.

    Attributes:
        known: (n, V_col) CSR, not 0 at what is not ranked: links that were trained on, and the user itself.
        wanted: (n, V_col) CSR of ones, held out.
        users: (n,) int, rows of the table.
    """

    known: sp.csr_array
    wanted: sp.csr_array
    users: np.ndarray


class Graph(NamedTuple):
    """What both sides factorise; `links` None where there is nothing to foretell."""

    table: PairTable
    links: Links | None = None

    def recall(self, sources: np.ndarray, destinations: np.ndarray) -> float | None:
        """Recall@10 of the held-out links by the products of (V_row, D) and (V_col, D) vectors."""
        if self.links is None:
            return None
        return ranking(sources[self.links.users], destinations, self.links.known, self.links.wanted)[0]


def follow_graph(data: Path, folder: str) -> Graph:
    """A shared graph of friends, each pair in both directions, a tenth of the friendships held out."""
    edges = pq.read_table(data / folder / "edges.parquet")
    ends = np.stack([edges[name].to_numpy() for name in ("src", "dst")])
    rng = np.random.default_rng(0)
    held = rng.random(ends.shape[1]) < 0.1
    size = int(ends.max()) + 1
    train, wanted = (_both_ways(ends[:, chosen], size) for chosen in (~held, held))
    having = np.flatnonzero(np.diff(wanted.indptr))
    users = np.sort(rng.choice(having, min(ASKED, len(having)), replace=False))
    known = (train + sp.eye_array(size, format="csr")).tocsr()
    return Graph(as_table_of_pairs(train), Links(known[users], wanted[users], users))


def power_law_graph(sources: int, destinations: int, edges: int, seed: int = 0) -> Graph:
    """Exactly `edges` different edges, in (source, destination) order.

    Both ends are drawn with a chance ~ (rank + 10) ** -0.8, so degrees follow a power law; repeated draws are the
    count.
    """
    rng = np.random.default_rng(seed)
    codes: np.ndarray = np.empty(0, np.int64)
    counts = codes
    draws = edges
    while len(codes) < edges:
        draws = draws * 5 // 4
        ends = (rng.choice(n, draws, p=_chances(n)).astype(np.int64) for n in (sources, destinations))
        codes, counts = np.unique(next(ends) * destinations + next(ends), return_counts=True)
    kept = np.sort(rng.permutation(len(codes))[:edges])
    return Graph(
        PairTable(
            rows=_vocabulary("user", sources),
            columns=_vocabulary("producer", destinations),
            row_ids=(codes[kept] // destinations).astype(np.int32),
            col_ids=(codes[kept] % destinations).astype(np.int32),
            counts=counts[kept].astype(np.float32),
        )
    )


def _both_ways(ends: np.ndarray, size: int) -> sp.csr_array:
    places = np.concatenate([ends, ends[::-1]], axis=1)
    return sp.csr_array((np.ones(places.shape[1], np.float32), tuple(places)), shape=(size, size))


def _chances(size: int) -> np.ndarray:
    chances = (np.arange(size) + 10.0) ** -0.8
    return chances / chances.sum()


def _vocabulary(entity: str, size: int) -> Vocabulary:
    keys = pa.array([f"{entity}{i}" for i in range(size)], pa.string())
    return Vocabulary(entity=entity, keys=keys, counts=np.ones(size))
