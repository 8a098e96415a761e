"""Cold start: does a vector composed of what an entity did lie where training would have put it?

Judges a composed version against the one of the same entity that was trained in the same run, in one space.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import statistics
from benchmarks.neighborhoods import (
    Shared,
    kept_share,
    nearest_to,
    points_one_way,
    positions,
    sample_rows,
    share_versions,
)
from benchmarks.task import Evaluation, Task, Undefined, undefined_score
from registry.reader import Version
from registry.records import Score

ID = "cold_start.v1"
METRICS = ("recall_at_10", "recall_at_10_new")


def is_composed(version: Version) -> bool:
    """Whether its vectors are means of others', not trained: its manifest says of what."""
    return bool(version.manifest.training.get("composed"))


def trained_twin(evaluation: Evaluation) -> str | None:
    """Name of the version of the same entity that the same run trained; None where there is none."""
    twins = [
        name
        for name, other in sorted(evaluation.together.items())
        if other.entity == evaluation.version.entity and not is_composed(other)
    ]
    return twins[0] if twins else None


def can_be_compared(evaluation: Evaluation) -> bool:
    """Composed, and trained as well."""
    return is_composed(evaluation.version) and trained_twin(evaluation) is not None


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """Share of the trained vector's nearest trained keys that the composed vector has too, by cosine.

    Attributes:
        k: neighbours looked at.
        queries: keys sampled for the interval; neighbours are searched among all keys that have both vectors.
        min_new: first-seen keys needed for `recall_at_10_new`.
    """

    k: int = 10
    queries: int = 2000
    min_new: int = 10

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """`recall_at_10` over all keys, `recall_at_10_new` over those that last week's training had not seen."""
        name = trained_twin(evaluation)
        if name is None:
            raise Undefined(f"no version of {evaluation.version.entity} was trained in the same run")
        trained, seed = evaluation.together[name], evaluation.seed
        shared = share_versions(trained, evaluation.version)
        self._require(shared)
        everyone = sample_rows(len(shared), self.queries, seed)
        scores = [self._score(METRICS[0], shared, everyone, trained, seed)]
        try:
            new = self._new(shared, evaluation.earlier.get(1, {}).get(name), seed)
            scores.append(self._score(METRICS[1], shared, new, trained, seed))
        except Undefined as gap:
            scores.append(undefined_score(ID, METRICS[1], gap, seed=seed))
        return scores

    def _require(self, shared: Shared) -> None:
        left_out = shared.now_size - len(shared)
        if len(shared) < self.k + 2:
            least = f"needs at least {self.k + 2} keys that are composed and trained, there are {len(shared)}"
            raise Undefined(least, rows_used=len(shared), rows_left_out=left_out)
        for what, unit in (("trained", shared.before), ("composed", shared.now)):
            if points_one_way(unit):
                raise Undefined(f"all {what} vectors point the same way", rows_used=len(shared), rows_left_out=left_out)

    def _new(self, shared: Shared, before: Version | None, seed: int) -> np.ndarray:
        """Rows of the keys that the earlier training did not have."""
        if before is None:
            raise Undefined("there is no version of the week before to say who is new")
        rows = np.flatnonzero(positions(shared.keys, before.keys()) < 0)
        if len(rows) < self.min_new:
            raise Undefined(f"needs at least {self.min_new} keys that {before.reference} lacks, there are {len(rows)}")
        return rows[sample_rows(len(rows), self.queries, seed)]

    def _score(self, metric: str, shared: Shared, rows: np.ndarray, trained: Version, seed: int) -> Score:
        found = nearest_to(shared.before, shared.now[rows], rows, self.k)
        right = nearest_to(shared.before, shared.before[rows], rows, self.k)
        kept = kept_share(right, found)
        return Score(
            task=ID,
            metric=metric,
            **vars(statistics.estimate(partial(statistics.mean, kept), len(rows), seed=seed)),
            floor=self.k / (len(shared) - 1),  # shuffled vectors have any other key as a neighbour
            rows_used=len(rows),
            rows_left_out=shared.now_size - len(shared),
            seed=seed,
            details={
                "protocol": "both vectors rest on the same weeks; neighbours among the trained ones, by cosine",
                "trained": trained.reference,
                "k": self.k,
                "keys": len(shared),
            },
        )


TASK = Task(
    id=ID,
    entity=None,
    score=ColdStart(),
    title="Cold Start",
    applies=can_be_compared,
    metrics=METRICS,
    about="Share of the trained vector's 10 nearest that the composed vector of the same key has too.",
)
