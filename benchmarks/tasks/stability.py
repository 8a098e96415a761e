"""How much of last week's embedding is still there: neighbours, directions and vocabulary."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import statistics
from benchmarks.neighborhoods import (
    Shared,
    kept_share,
    nearest,
    points_one_way,
    sample_rows,
    share_versions,
)
from benchmarks.task import Evaluation, Task, Undefined, undefined_score
from registry.judging.align import rotate_onto
from registry.records import Score

ID = "stability.v1"
METRICS = ("neighbors_kept", "aligned_cosine", "vocabulary_kept")


@dataclass(frozen=True, kw_only=True)
class Stability:
    """Compares a version with the one a week earlier, on the keys that both have.

    Attributes:
        k: neighbours looked at.
        queries: keys sampled for the interval; neighbours are searched among all shared keys.
    """

    k: int = 10
    queries: int = 2000

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score for each of `METRICS`; those without an answer are undefined."""
        earlier = evaluation.history[1]
        shared = share_versions(earlier, evaluation.version)
        protocols = (self._neighbors_kept, self._aligned_cosine, self._vocabulary_kept)
        scores = []
        for metric, protocol in zip(METRICS, protocols, strict=True):
            try:
                scores.append(protocol(metric, shared, earlier.reference, evaluation.seed))
            except Undefined as gap:
                scores.append(undefined_score(ID, metric, gap, seed=evaluation.seed))
        return scores

    def _neighbors_kept(self, metric: str, shared: Shared, compared_with: str, seed: int) -> Score:
        """Mean share of the k nearest shared keys that are still among the k nearest."""
        _require_directions(shared, at_least=self.k + 2)
        rows = sample_rows(len(shared), self.queries, seed)
        kept = kept_share(nearest(shared.before, rows, self.k), nearest(shared.now, rows, self.k))
        found = statistics.estimate(partial(statistics.mean, kept), len(kept), seed=seed)
        return Score(
            task=ID,
            metric=metric,
            **vars(found),
            # Under shuffled keys each earlier neighbour is any other key with the same chance.
            floor=self.k / (len(shared) - 1),
            rows_used=len(rows),
            rows_left_out=shared.now_size - len(shared),
            seed=seed,
            details={"compared_with": compared_with, "k": self.k, "shared_keys": len(shared)},
        )

    def _aligned_cosine(self, metric: str, shared: Shared, compared_with: str, seed: int) -> Score:
        """Mean cosine of a key with itself, the earlier space rotated onto this one."""
        widths = shared.before.shape[1], shared.now.shape[1]
        if widths[0] != widths[1]:
            raise Undefined(f"no rotation between widths: {widths[0]} before, {widths[1]} now")
        _require_directions(shared, at_least=widths[1] + 1)
        rows = sample_rows(len(shared), self.queries, seed)
        cosine = _aligned(shared.before, shared.now, rows)
        found = statistics.estimate(partial(statistics.mean, cosine), len(rows), seed=seed)
        # A rotation fitted to noise still gains something; the floor gets the same chance.
        shuffled = np.random.default_rng(seed).permutation(len(shared))
        return Score(
            task=ID,
            metric=metric,
            **vars(found),
            floor=float(_aligned(shared.before[shuffled], shared.now, rows).mean()),
            rows_used=len(rows),
            rows_left_out=shared.now_size - len(shared),
            seed=seed,
            details={"compared_with": compared_with, "shared_keys": len(shared)},
        )

    def _vocabulary_kept(self, metric: str, shared: Shared, compared_with: str, seed: int) -> Score:
        """Share of the earlier version's keys that this one has; a full count, so no interval."""
        return Score(
            task=ID,
            metric=metric,
            value=shared.matched / shared.before_size,
            rows_used=shared.before_size,
            seed=seed,
            details={
                "compared_with": compared_with,
                "gone": shared.before_size - shared.matched,
                "added": shared.now_size - shared.matched,
            },
        )


def _aligned(before: np.ndarray, now: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(Q,) cosines of unit rows of `now` with those of `before` rotated onto it."""
    return np.einsum("qd,qd->q", before[rows] @ rotate_onto(before, now), now[rows])


def _require_directions(shared: Shared, *, at_least: int) -> None:
    if len(shared) < at_least:
        raise Undefined(
            f"needs at least {at_least} keys that both versions have, there are {len(shared)}",
            rows_used=len(shared),
            rows_left_out=shared.now_size - len(shared),
        )
    for name, unit in (("earlier", shared.before), ("this", shared.now)):
        if points_one_way(unit):
            raise Undefined(f"all vectors of {name} version point the same way", rows_used=len(shared))


TASK = Task(
    id=ID,
    entity=None,
    score=Stability(),
    metrics=METRICS,
    needs_history=1,
    about="What is kept since last week: 10 nearest neighbours, aligned direction, vocabulary.",
)
