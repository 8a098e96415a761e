"""Who follows whom as a sparse table, and pairs of users drawn from it.

Sizes: S sources, T targets, n pairs or edges.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.neighborhoods import positions

if TYPE_CHECKING:
    from scipy.sparse import csr_array

#: Rounds of drawing pairs without a common target; where users share so much that this is too few, fewer are drawn.
ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Follows:
    """The targets of every source; repeats of an edge count once.

    Attributes:
        sources: (S,) string.
        edges: (S, T) float64 of 0 and 1.
    """

    sources: pa.Array
    edges: "csr_array"

    @classmethod
    def of(cls, table: pa.Table) -> "Follows":
        """From a table with columns `src` and `dst`."""
        from scipy.sparse import csr_array

        source, target = (table[name].combine_chunks().dictionary_encode() for name in ("src", "dst"))
        shape = len(source.dictionary), len(target.dictionary)
        places = np.asarray(source.indices, np.int64), np.asarray(target.indices, np.int64)
        edges = csr_array((np.ones(table.num_rows), places), shape=shape)
        edges.data[:] = 1.0
        return cls(source.dictionary, edges)

    def known_to(self, keys: pa.Array) -> "Follows":
        """Those sources that are among `keys`, with all their targets."""
        kept = np.flatnonzero(positions(self.sources, keys) >= 0)
        return Follows(self.sources.take(pa.array(kept)), self.edges[kept])

    @property
    def degrees(self) -> np.ndarray:
        """(S,) float64 targets of each source."""
        return np.diff(self.edges.indptr).astype(np.float64)

    def jaccard(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(n,) float64 in [0, 1]: common targets of two sources over all targets of either."""
        common = self.edges[first].multiply(self.edges[second]).sum(axis=1)
        return common / (self.degrees[first] + self.degrees[second] - common)

    def draw_sharing(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(n, 2) int, n at most `count` distinct pairs of sources with a common target: two of a random one's."""
        by_target = self.edges.T.tocsr()
        sizes = np.diff(by_target.indptr)
        centers = np.flatnonzero(sizes >= 2)
        if not len(centers):
            return np.empty((0, 2), np.int64)
        center = rng.choice(centers, count)
        first = rng.integers(sizes[center])
        second = (first + rng.integers(1, sizes[center])) % sizes[center]
        drawn = by_target.indices[by_target.indptr[center][:, None] + np.stack([first, second], axis=1)]
        return np.unique(np.sort(drawn.astype(np.int64), axis=1), axis=0)

    def draw_apart(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(n, 2) int, n at most `count` distinct pairs of sources without a common target."""
        found = np.empty((0, 2), np.int64)
        for _ in range(ROUNDS):
            pairs = np.sort(rng.integers(len(self.sources), size=(count, 2)), axis=1)
            pairs = pairs[pairs[:, 0] != pairs[:, 1]]
            apart = pairs[self.jaccard(pairs[:, 0], pairs[:, 1]) == 0.0]
            found = np.unique(np.concatenate([found, apart]), axis=0)
            if len(found) >= count:
                return found[np.sort(rng.permutation(len(found))[:count])]
        return found


def distinct_edges(table: pa.Table, source: str, target: str) -> pa.Table:
    """The edges of an event table as `src` and `dst`, each once, sorted."""
    edges = pa.table({"src": table[source], "dst": table[target]})
    return edges.group_by(["src", "dst"]).aggregate([]).sort_by([("src", "ascending"), ("dst", "ascending")])


def without(edges: pa.Table, known: pa.Table) -> pa.Table:
    """The rows of `edges` that are not in `known`."""
    return edges.join(known, ["src", "dst"], join_type="left anti").sort_by(
        [("src", "ascending"), ("dst", "ascending")]
    )


def among(edges: pa.Table, sources: pa.Array, targets: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n,) of both ends of the edges whose source and target are both known; in the edges' order."""
    first = positions(edges["src"].combine_chunks(), sources)
    second = positions(edges["dst"].combine_chunks(), targets)
    both = (first >= 0) & (second >= 0)
    return first[both], second[both]


def in_week(table: pa.Table, week: str) -> tuple[pa.Table, pa.Table]:
    """The rows of a label table of several weeks that are of `week`, and those of earlier weeks."""
    return table.filter(pc.field("week") == week), table.filter(pc.field("week") < week)
