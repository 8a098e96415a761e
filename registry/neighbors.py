"""Nearest keys of a query: a plan (exact scan or Annoy), its execution, and keys for rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from registry.errors import InvalidQuery
from registry.forest import Forest
from registry.records import IndexInfo, Metric
from registry.scan import Vectors, scan

Plan = Literal["auto", "exact", "annoy"]

#: Below this many vectors one exact scan is quicker than thinking about it.
EXACT_BELOW = 50_000
_DEFAULT_RECALL = 0.95
_CALIBRATED_K = 10
# Relative costs on one core, 100k x 128: inspecting one Annoy node (0.13 us) costs about as much as scanning
# this many vectors (0.05 us each); in a batch of at least 16 queries a scan is so many times cheaper per query.
_NODE_COST = 3
_BATCH_GAIN = 4
_BATCH = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """A checked question to one version.

    Attributes:
        vectors: (Q, D) float32, finite.
        exclude: (Q,) int64, the query's own row; -1 for none.
        k: how many neighbours of each.
        metric: how two vectors are compared.
        recall: the share of the true neighbours that must be found; None lets the plan choose.
        plan: `auto`, or a plan to force.
    """

    vectors: np.ndarray
    exclude: np.ndarray
    k: int
    metric: Metric
    recall: float | None = None
    plan: Plan = "auto"

    def check(self, count: int, dim: int) -> None:
        """Refuse a question without a meaningful answer, before anything is opened for it.

        Raises:
            InvalidQuery: the message names what is wrong and what is there.
        """
        self._check_settings()
        if self.vectors.ndim != 2 or self.vectors.shape[1] != dim:
            raise InvalidQuery(f"query vectors have shape {self.vectors.shape}; this version needs (Q, {dim})")
        if not np.isfinite(np.einsum("qd,qd->q", self.vectors, self.vectors)).all():
            row = int(np.argmin(np.isfinite(self.vectors).all(axis=1)))
            raise InvalidQuery(f"query vector {row} holds NaN, infinity or values too large for float32")
        self._check_k(count)

    def _check_settings(self) -> None:
        if self.metric not in get_args(Metric):
            raise InvalidQuery(f"metric {self.metric!r:.80} is unknown; use one of {', '.join(get_args(Metric))}")
        if self.plan not in get_args(Plan):
            raise InvalidQuery(f"plan {self.plan!r:.80} is unknown; use one of {', '.join(get_args(Plan))}")
        if self.recall is not None and not 0 < self.recall <= 1:
            raise InvalidQuery(f"recall is {self.recall}; it is over 0 and at most 1")

    def _check_k(self, count: int) -> None:
        own = int(bool((self.exclude >= 0).any()))
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise InvalidQuery(f"k is {self.k!r:.80}; it is a whole number, at least 1")
        if self.k > count - own:
            less = " besides the query's own" if own else ""
            raise InvalidQuery(f"k is {self.k}, this version has n = {count - own} vectors{less}; ask for at most that")


def choose_search_k(query: Query, count: int, metric: Metric, info: IndexInfo) -> int | None:
    """The search_k with which Annoy answers, or None for an exact scan.

    Args:
        query: what is asked.
        count: vectors in the version.
        metric: the version's own, the only one its index can answer.
        info: the index and its calibration.

    Raises:
        InvalidQuery: Annoy was forced and cannot answer as asked.
    """
    wanted = _DEFAULT_RECALL if query.recall is None else query.recall
    reaching = [search_k for search_k, recall in info.calibration if recall >= wanted]
    search_k = _scaled(reaching[0], query.k) if reaching else None
    if query.plan == "annoy":
        if search_k is None or query.metric != metric:
            seen = max((recall for _, recall in info.calibration), default=0.0)
            raise InvalidQuery(
                f"the index answers metric {metric!r} with recall up to {seen:.3f},"
                f" asked were {query.metric!r} and {wanted}; use plan='auto'"
            )
        return search_k
    if query.plan == "exact" or search_k is None or query.metric != metric or count < EXACT_BELOW:
        return None
    scan_cost = count / (_BATCH_GAIN if len(query.vectors) >= _BATCH else 1)
    return search_k if search_k * _NODE_COST < scan_cost else None


def _scaled(search_k: int, k: int) -> int:
    """More neighbours lie in more leaves; the calibration was made for 10."""
    return -(-search_k * max(k, _CALIBRATED_K) // _CALIBRATED_K)


def search(
    query: Query, vectors: Vectors, search_k: int | None, forest: Callable[[], Forest]
) -> tuple[np.ndarray, np.ndarray, str]:
    """(Q, k) rows, best first, (Q, k) float32 scores, and the plan in words."""
    if search_k is None:
        rows, scores = scan(vectors, query.vectors, query.k, query.metric, query.exclude)
        return rows, scores, "exact"
    rows = np.empty((len(query.vectors), query.k), np.int64)
    scores = np.empty(rows.shape, np.float32)
    opened, scanned = forest(), 0
    for q, vector in enumerate(query.vectors):
        own = query.exclude[q]
        found = opened.search(vector, query.k, search_k, query.metric, own)
        if found is None:
            scanned += 1
            part = slice(q, q + 1)
            rows[part], scores[part] = scan(vectors, query.vectors[part], query.k, query.metric, query.exclude[part])
        else:
            rows[q], scores[q] = found
    plan = f"annoy(search_k={search_k})"
    return rows, scores, f"{plan}, {scanned} of {len(rows)} exact" if scanned else plan
