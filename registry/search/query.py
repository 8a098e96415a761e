"""A question for nearest keys, and everything that can be wrong with one."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from registry.errors import InvalidQuery
from registry.records import Metric

Plan = Literal["auto", "exact", "annoy", "hnsw"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Query:
    """A question to one version.

    Attributes:
        vectors: (Q, D) float32.
        own: (Q,) int64, the query's own row, which is no answer; -1 for none.
        k: how many neighbours of each.
        metric: how two vectors are compared.
        recall: the share of the true neighbours that must be found; None lets the plan choose.
        plan: `auto`, or a plan to force.
    """

    vectors: np.ndarray
    own: np.ndarray
    k: int
    metric: Metric
    recall: float | None = None
    plan: Plan = "auto"

    def check(self, dim: int) -> None:
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
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise InvalidQuery(f"k is {self.k!r:.80}; it is a whole number, at least 1")

    def check_enough(self, count: int, own_inside: bool, source: str) -> None:  # noqa: FBT001 - a fact, not a mode
        """Refuse to pad: k may not exceed the vectors that can be answers of every query.

        Args:
            count: vectors that may be answers.
            own_inside: whether a query's own row is among them.
            source: what left so many, for the message.

        Raises:
            InvalidQuery: k is larger; the message says how many there are.
        """
        available = count - int(own_inside)
        if self.k > available:
            less = " besides the query's own" if own_inside else ""
            raise InvalidQuery(f"k is {self.k}, {source} n = {available} vectors{less}; ask for at most that")

    def _check_settings(self) -> None:
        if self.metric not in get_args(Metric):
            raise InvalidQuery(f"metric {self.metric!r:.80} is unknown; use one of {', '.join(get_args(Metric))}")
        if self.plan not in get_args(Plan):
            raise InvalidQuery(f"plan {self.plan!r:.80} is unknown; use one of {', '.join(get_args(Plan))}")
        if self.recall is not None and not 0 < self.recall <= 1:
            raise InvalidQuery(f"recall is {self.recall}; it is over 0 and at most 1")
