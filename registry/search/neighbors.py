"""Nearest rows of a question: the cheapest plan that keeps the recall asked for, and its execution.

Sizes: Q queries, N vectors of which M may be answers, D their width, k neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from registry.errors import InvalidQuery
from registry.search.calibration import CALIBRATED_K, Calibration, Index
from registry.search.query import Query
from registry.search.scan import SPARE, Vectors, best, scan

Engine = Literal["annoy", "hnsw"]

#: Below this many vectors one exact scan is quicker than thinking about it.
EXACT_BELOW = 50_000
_DEFAULT_RECALL = 0.95
# A calibration asks with rows of the index itself, which are found more easily than vectors that it has never seen: a
# quarter of the error allowed is kept for these.
_MARGIN = 0.25
# Relative costs on one core, 100k x 128, in vectors scanned (0.05 us each): one Annoy node, one candidate of the graph.
_COST: Mapping[Engine, int] = {"annoy": 3, "hnsw": 30}
# In a batch of at least 16 queries a scan is so many times cheaper per query.
_BATCH_GAIN = 4
_BATCH = 16
_BLOCK = 1024  # queries whose candidates are held at once
_MOST = 20  # for each vector: to look at more nodes of a forest or candidates of a graph finds nothing new
_INT32 = 2**31 - 1  # and Annoy takes no larger search_k


@dataclass(frozen=True)
class Way:
    """An index and the effort with which it is asked: search_k of Annoy, expansion of a graph."""

    engine: Engine
    effort: int

    def __str__(self) -> str:
        return f"{self.engine}({'search_k' if self.engine == 'annoy' else 'expansion'}={self.effort})"


def choose(query: Query, vectors: Vectors, calibrations: Mapping[Engine, Calibration]) -> Way | None:
    """The index that answers, or None for an exact scan.

    Args:
        query: what is asked.
        vectors: N, of which M may be answers.
        calibrations: of each index that is there and answers the query's metric.

    Raises:
        InvalidQuery: an index was forced that cannot answer as asked.
    """
    if query.plan in ("annoy", "hnsw"):
        return _forced(query, vectors, calibrations)
    if query.plan == "exact" or query.recall == 1 or len(vectors) < EXACT_BELOW:
        return None  # that an index found all neighbours of a sample is no promise for all
    ways = [way for engine in calibrations if (way := _way(engine, query, vectors, calibrations)) is not None]
    best_way = min(ways, key=_cost, default=None)
    scan_cost = len(vectors) / (_BATCH_GAIN if len(query.vectors) >= _BATCH else 1)
    return best_way if best_way is not None and _cost(best_way) < scan_cost else None


def _forced(query: Query, vectors: Vectors, calibrations: Mapping[Engine, Calibration]) -> Way:
    engine: Engine = "hnsw" if query.plan == "hnsw" else "annoy"
    way = _way(engine, query, vectors, calibrations)
    if way is None:
        seen = max((recall for _, recall in calibrations.get(engine, ())), default=None)
        there = f"this version has no {engine} index for it" if seen is None else f"it was seen to reach {seen:.3f}"
        raise InvalidQuery(
            f"plan {engine!r} cannot promise recall {_wanted(query):.4g} of metric {query.metric!r}: {there};"
            " use plan='auto'"
        )
    return way


def _way(engine: Engine, query: Query, vectors: Vectors, calibrations: Mapping[Engine, Calibration]) -> Way | None:
    """The least effort seen to reach the recall; more neighbours, or fewer that may be answers, take more of it."""
    reaching = [effort for effort, recall in calibrations.get(engine, ()) if recall >= _wanted(query)]
    if not reaching:
        return None
    depth = -(-query.k * len(vectors.values) // len(vectors))
    effort = -(-reaching[0] * max(depth, CALIBRATED_K) // CALIBRATED_K)
    return Way(engine, min(effort, _MOST * len(vectors.values), _INT32))


def _wanted(query: Query) -> float:
    recall = _DEFAULT_RECALL if query.recall is None else query.recall
    return recall + _MARGIN * (1 - recall)


def _cost(way: Way) -> int:
    return way.effort * _COST[way.engine]


def search(query: Query, vectors: Vectors, way: Way | None, index: Index | None) -> tuple[np.ndarray, np.ndarray, str]:
    """(Q, k) rows, best first, (Q, k) float32 scores, and the plan in words.

    Args:
        query: checked: k rows can be found.
        vectors: what the scores are computed from.
        way: what `choose` chose.
        index: the one that `way` names; None for a scan.
    """
    filtered = f", {len(vectors):,} of {len(vectors.values):,} match" if vectors.among is not None else ""
    if way is None or index is None:
        rows, scores = scan(vectors, query.vectors, query.k, query.metric, query.own)
        return rows, scores, f"exact{filtered}"
    rows = np.empty((len(query.vectors), query.k), np.int64)
    scores = np.empty(rows.shape, np.float32)
    scanned = 0
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        found = _candidates(query, part, vectors, index, way.effort)
        rows[part], scores[part] = best(vectors, query.vectors[part], found, query.k, query.metric)
        short = start + np.flatnonzero((found >= 0).sum(axis=1) < query.k)
        if len(short):  # never fewer than k, and never a row that was not asked for
            rows[short], scores[short] = scan(vectors, query.vectors[short], query.k, query.metric, query.own[short])
        scanned += len(short)
    return rows, scores, f"{way}{filtered}{f', {scanned} of {len(rows)} exact' if scanned else ''}"


def _candidates(query: Query, part: slice, vectors: Vectors, index: Index, effort: int) -> np.ndarray:
    """(B, c) rows that may be answers, else -1; more are fetched, as many more as may not be."""
    spread = 1 if vectors.among is None else 2
    fetch = min(-(-spread * (query.k + SPARE + 1) * len(vectors.values) // len(vectors)), len(vectors.values))
    found = index.candidates(query.vectors[part], fetch, effort)
    found[(vectors.positions(found) < 0) | (found == query.own[part, None])] = -1
    return found
