"""Exact nearest vectors by blocked matrix products, scored again in float64.

Sizes: Q queries, N vectors, D their width, B rows of a block, c candidates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from registry.records import Metric

_QUERY_BLOCK = 64
_ROW_BLOCK = 1 << 14  # 64 x 16,384 float32 scores stay in the cache
# float32 products can swap near ties, so a few more candidates than asked for are scored again in float64.
SPARE = 8


@dataclass(frozen=True, eq=False)
class Vectors:
    """The (N, D) float32 vectors of a version and what is derived from them once.

    Attributes:
        values: (N, D) float32.
    """

    values: np.ndarray

    @cached_property
    def norms(self) -> np.ndarray:
        """(N,) float64; in float32 the square of a tiny vector would be 0."""
        return np.sqrt(np.einsum("nd,nd->n", self.values, self.values, dtype=np.float64))

    @cached_property
    def longest(self) -> float:
        """The largest norm."""
        return float(self.norms.max())

    @cached_property
    def half_squares(self) -> np.ndarray:
        """(N,) float32, half the squared norms."""
        return (self.norms**2 / 2).astype(np.float32)

    @cached_property
    def inverse_norms(self) -> np.ndarray:
        """(N,) float32, 1 / norm; 0 for a zero vector, whose cosine with anything counts as 0."""
        inverse = np.divide(1, self.norms, out=np.zeros_like(self.norms), where=self.norms > 0)
        return inverse.astype(np.float32)

    def rank_scores(self, queries: np.ndarray, start: int, stop: int, metric: Metric) -> np.ndarray:
        """(Q, B) float32 that order the rows `start:stop` of each query as the metric does."""
        dots = queries @ self.values[start:stop].T
        if metric == "cosine":
            dots *= self.inverse_norms[start:stop]
        elif metric == "euclidean":
            dots -= self.half_squares[start:stop]  # |q - v|^2 = |q|^2 - 2 (qv - |v|^2 / 2)
        return dots

    def scores(self, query: np.ndarray, rows: np.ndarray, metric: Metric) -> np.ndarray:
        """(c,) float64, larger is closer: the dot product, the cosine, or minus the distance."""
        values, query = self.values[rows].astype(np.float64), query.astype(np.float64)
        if metric == "euclidean":
            return -np.linalg.norm(values - query, axis=1)
        dots = values @ query
        if metric == "cosine":
            norms = np.linalg.norm(values, axis=1) * np.linalg.norm(query)
            return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
        return dots


def scan(
    vectors: Vectors, queries: np.ndarray, k: int, metric: Metric, exclude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, k) int64 rows, best first, and their (Q, k) float32 scores; ties go to the lower row.

    Args:
        vectors: N of them.
        queries: (Q, D) float32.
        k: at most N, or N - 1 where a row is excluded.
        metric: how two vectors are compared.
        exclude: (Q,) int64, a row that must not be in the answer; -1 for none.
    """
    rows = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    available = len(vectors.values) - int((exclude >= 0).any())
    keep = min(k + SPARE, available)
    for first in range(0, len(queries), _QUERY_BLOCK):
        part = slice(first, first + _QUERY_BLOCK)
        candidates, floor = _candidates(vectors, queries[part], keep, metric, exclude[part])
        for q, found in enumerate(candidates, start=first):
            answer = best(vectors, queries[q], found, k, metric)
            if keep < available and not _is_sure(vectors, queries[q], answer[1][-1], floor[q - first], metric):
                answer = _scan_slowly(vectors, queries[q], k, metric, int(exclude[q]))
            rows[q], scores[q] = answer
    return rows, scores


def best(
    vectors: Vectors, query: np.ndarray, rows: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """The k best of the candidate rows by exact score, and the scores."""
    scores = vectors.scores(query, rows, metric)
    order = np.lexsort((rows, -scores))[:k]
    return rows[order], scores[order]


def _candidates(
    vectors: Vectors, queries: np.ndarray, keep: int, metric: Metric, exclude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, keep) int64 rows with the largest rank scores, in no order, and the (Q,) least of those."""
    count = len(vectors.values)
    top = np.full((len(queries), keep), -np.inf, np.float32)
    rows = np.full((len(queries), keep), -1, np.int64)
    for start in range(0, count, _ROW_BLOCK):
        stop = min(start + _ROW_BLOCK, count)
        block = vectors.rank_scores(queries, start, stop, metric)
        inside = np.flatnonzero((exclude >= start) & (exclude < stop))
        block[inside, exclude[inside] - start] = -np.inf
        hits = block > top.min(axis=1, keepdims=True)  # past the first block, few beat the worst kept
        for q in np.flatnonzero(hits.any(axis=1)):
            columns = np.flatnonzero(hits[q])
            merged = np.concatenate([top[q], block[q, columns]])
            kept = np.argpartition(-merged, keep - 1)[:keep]
            rows[q] = np.concatenate([rows[q], columns + start])[kept]
            top[q] = merged[kept]
    return rows, top.min(axis=1)


def _is_sure(vectors: Vectors, query: np.ndarray, worst: float, floor: float, metric: Metric) -> bool:
    """Whether no row outside the candidates can beat the k-th answer, float32 errors counted in.

    A product of D terms is off by at most (D + 4) u |q| |v|, u = 2^-24 (Higham 2002, section 3.1).
    """
    unit = (len(query) + 4) * 2.0**-24
    length = float(np.linalg.norm(query.astype(np.float64)))
    if metric == "cosine":
        return worst * length > floor + unit * length
    longest = vectors.longest
    if metric == "dot":
        return worst > floor + unit * length * longest
    return (length**2 - worst**2) / 2 > floor + unit * (length + longest) * longest


def _scan_slowly(
    vectors: Vectors, query: np.ndarray, k: int, metric: Metric, exclude: int
) -> tuple[np.ndarray, np.ndarray]:
    """All rows in float64: for the rare query whose neighbours float32 cannot tell apart."""
    count = len(vectors.values)
    scores = np.concatenate(
        [
            vectors.scores(query, np.arange(start, min(start + _ROW_BLOCK, count)), metric)
            for start in range(0, count, _ROW_BLOCK)
        ]
    )
    if exclude >= 0:
        scores[exclude] = -np.inf
    least = np.partition(scores, count - k)[count - k]
    rows = np.flatnonzero(scores >= least)
    order = np.lexsort((rows, -scores[rows]))[:k]
    return rows[order], scores[rows[order]]
