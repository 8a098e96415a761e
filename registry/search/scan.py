"""Exact nearest vectors by blocked matrix products, scored again in float64.

Sizes: Q queries, N vectors of which M may be answers, D their width, B rows of a block, c candidates.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from registry.records import Metric

_QUERY_BLOCK = 64
_ROW_BLOCK = 1 << 14  # 64 x 16,384 float32 scores stay in the cache
# float32 products can swap near ties, so a few more candidates than asked for are scored again in float64.
SPARE = 8
_SCORED = 1 << 20  # float64 numbers of candidates that are held at once
# The cosine of anything shorter is left to float64: 1 / norm leaves float32, and so do the products.
_SHORT = 2.0**-60
_UNDERFLOW = 2.0**-149  # what a float32 product may lose by underflow, whatever its size


@dataclass(frozen=True, eq=False)
class Vectors:
    """The (N, D) float32 vectors of a version and what is derived from them once.

    Some methods count in positions: position p is row `among[p]`, or row p where all rows may be answers.

    Attributes:
        values: (N, D) float32.
        among: (M,) int64, rising, the rows that may be answers; None for all N.
    """

    values: np.ndarray
    among: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values) if self.among is None else len(self.among)

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """The row at each position; -1 for position -1, which is none."""
        return positions if self.among is None else np.where(positions < 0, -1, self.among[positions])

    def positions(self, rows: np.ndarray) -> np.ndarray:
        """(Q,) the position of each row; -1 for one that cannot be an answer, as row -1 cannot."""
        if self.among is None:
            return rows
        at = np.searchsorted(self.among, rows)
        inside = at < len(self.among)
        inside[inside] = self.among[at[inside]] == rows[inside]
        return np.where(inside, at, -1)

    def part(self, start: int, stop: int) -> np.ndarray:
        """(B, D) the vectors at positions `start:stop`; a view where all rows may be answers."""
        return self.values[start:stop] if self.among is None else self.values[self.among[start:stop]]

    @cached_property
    def norms(self) -> np.ndarray:
        """(M,) float64; in float32 the square of a tiny vector would be 0."""
        parts = (self.part(start, start + _ROW_BLOCK) for start in range(0, len(self), _ROW_BLOCK))
        return np.sqrt(np.concatenate([np.einsum("nd,nd->n", part, part, dtype=np.float64) for part in parts]))

    @cached_property
    def mean(self) -> np.ndarray:
        """(D,) float32, what stands in for a vector that is not there."""
        return self.values.mean(axis=0, dtype=np.float64).astype(np.float32)

    @cached_property
    def longest(self) -> float:
        """The largest norm."""
        return float(self.norms.max())

    @cached_property
    def any_short(self) -> bool:
        """Whether a vector is so short, without being zero, that float32 cannot rank its cosine."""
        return bool(((self.norms > 0) & (self.norms < _SHORT)).any())

    @cached_property
    def half_squares(self) -> np.ndarray:
        """(M,) float32, half the squared norms."""
        return (self.norms**2 / 2).astype(np.float32)

    @cached_property
    def inverse_norms(self) -> np.ndarray:
        """(M,) float32, 1 / norm; 0 for a zero vector, whose cosine with anything counts as 0, and a short one."""
        inverse = np.divide(1, self.norms, out=np.zeros_like(self.norms), where=self.norms >= _SHORT)
        return inverse.astype(np.float32)

    def rank_scores(self, queries: np.ndarray, start: int, stop: int, metric: Metric) -> np.ndarray:
        """(Q, B) float32 that order the positions `start:stop` of each query as the metric does."""
        dots = queries @ self.part(start, stop).T
        if metric == "cosine":
            dots *= self.inverse_norms[start:stop]
        elif metric == "euclidean":
            dots -= self.half_squares[start:stop]  # |q - v|^2 = |q|^2 - 2 (qv - |v|^2 / 2)
        return dots

    def scores(self, queries: np.ndarray, rows: np.ndarray, metric: Metric) -> np.ndarray:
        """(Q, c) float64, larger is closer: the dot product, the cosine, or minus the distance.

        Args:
            queries: (Q, D).
            rows: (Q, c) of each query.
            metric: how two vectors are compared.
        """
        values, queries = self.values[rows].astype(np.float64), queries.astype(np.float64)
        if metric == "euclidean":
            return -np.linalg.norm(values - queries[:, None], axis=2)
        dots = np.einsum("qcd,qd->qc", values, queries)
        if metric == "cosine":
            norms = np.linalg.norm(values, axis=2) * np.linalg.norm(queries, axis=1)[:, None]
            return np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
        return dots


def scan(
    vectors: Vectors, queries: np.ndarray, k: int, metric: Metric, exclude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, k) int64 rows, best first, and their (Q, k) float32 scores; ties go to the lower row.

    Args:
        vectors: M of them may be answers.
        queries: (Q, D) float32.
        k: at most M, or M - 1 where a row is excluded.
        metric: how two vectors are compared.
        exclude: (Q,) int64, a row that must not be in the answer; -1 for none.
    """
    rows = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    excluded = vectors.positions(exclude)
    available = len(vectors) - int((excluded >= 0).any())
    keep = min(k + SPARE, available)
    for first in range(0, len(queries), _QUERY_BLOCK):
        part = slice(first, first + _QUERY_BLOCK)
        candidates, floor = _candidates(vectors, queries[part], keep, metric, excluded[part])
        rows[part], exact = best(vectors, queries[part], vectors.rows(candidates), k, metric)
        scores[part] = exact
        for q in range(first, first + len(exact)) if keep < available else ():
            if not _is_sure(vectors, queries[q], exact[q - first, -1], floor[q - first], metric):
                rows[q], scores[q] = _scan_slowly(vectors, queries[q], k, metric, int(excluded[q]))
    return rows, scores


def best(
    vectors: Vectors, queries: np.ndarray, rows: np.ndarray, k: int, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, k) the best of each query's (Q, c) candidate rows by exact score, and the scores.

    A candidate of row -1 is none: it comes last, with score -infinity.
    """
    together = max(_SCORED // (rows.shape[1] * queries.shape[1]), 1)
    parts = [slice(at, at + together) for at in range(0, len(queries), together)]
    scores = np.concatenate([vectors.scores(queries[part], rows[part], metric) for part in parts])
    scores[rows < 0] = -np.inf
    order = np.lexsort((rows, -scores))[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _candidates(
    vectors: Vectors, queries: np.ndarray, keep: int, metric: Metric, excluded: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(Q, keep) int64 positions with the largest rank scores, in no order, and the (Q,) least of those."""
    top = np.full((len(queries), keep), -np.inf, np.float32)
    found = np.full((len(queries), keep), -1, np.int64)
    for start in range(0, len(vectors), _ROW_BLOCK):
        stop = min(start + _ROW_BLOCK, len(vectors))
        block = vectors.rank_scores(queries, start, stop, metric)
        inside = np.flatnonzero((excluded >= start) & (excluded < stop))
        block[inside, excluded[inside] - start] = -np.inf
        hits = block > top.min(axis=1, keepdims=True)  # past the first block, few beat the worst kept
        for q in np.flatnonzero(hits.any(axis=1)):
            columns = np.flatnonzero(hits[q])
            merged = np.concatenate([top[q], block[q, columns]])
            kept = np.argpartition(-merged, keep - 1)[:keep]
            found[q] = np.concatenate([found[q], columns + start])[kept]
            top[q] = merged[kept]
    return found, top.min(axis=1)


def _is_sure(vectors: Vectors, query: np.ndarray, worst: float, floor: float, metric: Metric) -> bool:
    """Whether no row outside the candidates can beat the k-th answer, float32 errors counted in.

    A product of D terms is off by at most (D + 4) u |q| |v|, u = 2^-24 (Higham 2002, section 3.1),
    and by what underflows (section 2.8).
    """
    unit = (len(query) + 4) * 2.0**-24
    length = float(np.linalg.norm(query.astype(np.float64)))
    if metric == "cosine":
        return length >= _SHORT and not vectors.any_short and worst * length > floor + unit * length
    longest, lost = vectors.longest, (len(query) + 1) * _UNDERFLOW
    if metric == "dot":
        return worst > floor + unit * length * longest + lost
    return (length**2 - worst**2) / 2 > floor + unit * (length + longest) * longest + lost


def _scan_slowly(
    vectors: Vectors, query: np.ndarray, k: int, metric: Metric, excluded: int
) -> tuple[np.ndarray, np.ndarray]:
    """All positions in float64: for the rare query whose neighbours float32 cannot tell apart."""
    blocks = (np.arange(start, min(start + _ROW_BLOCK, len(vectors))) for start in range(0, len(vectors), _ROW_BLOCK))
    parts = [vectors.scores(query[None], vectors.rows(block)[None], metric)[0] for block in blocks]
    scores = np.concatenate(parts)
    if excluded >= 0:
        scores[excluded] = -np.inf
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    positions = np.flatnonzero(scores >= least)
    order = np.lexsort((positions, -scores[positions]))[:k]
    return vectors.rows(positions[order]), scores[positions[order]]
