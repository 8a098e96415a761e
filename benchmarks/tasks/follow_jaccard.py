"""User Follow Jaccard: are users who follow the same accounts near each other?

Pairs are drawn half from users with a common followee, half from users without one; see `benchmarks.graph`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import statistics
from benchmarks.graph import Follows
from benchmarks.labelled import MAX_USERS, labelled_users
from benchmarks.probe import require_varied
from benchmarks.task import Evaluation, Task, Undefined, undefined_score
from registry.judging.align import unit_rows
from registry.records import Score

ID = "follow_jaccard.v1"
LABELS, HELD_OUT = "follows", "held_out_follows"
SIMILARITIES = ("cosine", "dot", "euclidean")
POSITIVE = "_positive"
METRICS = tuple(f"spearman_{name}{part}" for name in SIMILARITIES for part in ("", POSITIVE))
PROTOCOLS = {
    LABELS: "in sample: the follows may be among what the embedding was trained on",
    HELD_OUT: "held out: only follows that the embedding was not trained on",
}


def similarities(vectors: np.ndarray, pairs: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (n,) float64 nearness of (n, 2) pairs of rows: dot, cosine, and 1 - |u - v| as euclidean."""
    unit = unit_rows(vectors)
    first, second = pairs.T
    return {
        "cosine": np.einsum("nd,nd->n", unit[first], unit[second], dtype=np.float64),
        "dot": np.einsum("nd,nd->n", vectors[first], vectors[second], dtype=np.float64),
        "euclidean": 1.0 - np.linalg.norm(vectors[first] - vectors[second], axis=1).astype(np.float64),
    }


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """n pairs of users with how much they share.

    Attributes:
        rows: (n, 2) int.
        jaccard: (n,) float64 in [0, 1].
    """

    rows: np.ndarray
    jaccard: np.ndarray

    def only(self, kept: np.ndarray) -> "Pairs":
        """Those of a (n,) bool mask."""
        return Pairs(rows=self.rows[kept], jaccard=self.jaccard[kept])


@dataclass(frozen=True, kw_only=True)
class FollowJaccard:
    """Spearman correlation of the vectors' nearness with the Jaccard index of the followees, three nearnesses.

    Attributes:
        pairs: drawn, half of them without a common followee.
        min_pairs: that a correlation needs.
        draws: of users, for the interval.
        max_users: above so many a seeded sample is judged.
    """

    pairs: int = 20_000
    min_pairs: int = 100
    draws: int = 100
    max_users: int = MAX_USERS

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """Scores `spearman_<nearness>` over all pairs, `spearman_<nearness>_positive` over those that share one.

        Half of all pairs share nothing, so that the first mostly says "share or not"; the second is harder.
        """
        seed, label = evaluation.seed, HELD_OUT if HELD_OUT in evaluation.labels else LABELS
        users = labelled_users(evaluation.version, evaluation.labels[label]["src"], limit=self.max_users, seed=seed)
        require_varied(users.vectors, left_out=users.left_out)
        follows = Follows.of(evaluation.labels[label]).known_to(users.keys)
        pairs = self._draw(follows, seed, users.left_out)
        vectors = users.vectors[users.rows(follows.sources)]
        near = {
            "found": similarities(vectors, pairs.rows),
            "shuffled": similarities(vectors[np.random.default_rng(seed).permutation(len(vectors))], pairs.rows),
            "log_degree": similarities(np.log1p(follows.degrees)[:, None], pairs.rows),
        }
        details = {
            "protocol": PROTOCOLS[label],
            "labels": evaluation.lineage(label),
            **users.details(evaluation.version),
        }
        common = {"rows_left_out": users.left_out, "seed": seed, "details": details}
        return [
            self._score(
                f"spearman_{name}{suffix}",
                pairs.only(kept),
                {source: of[name][kept] for source, of in near.items()},
                common,
            )
            for name in SIMILARITIES
            for suffix, kept in (("", pairs.jaccard >= 0), (POSITIVE, pairs.jaccard > 0))
        ]

    def _draw(self, follows: Follows, seed: int, left_out: int) -> Pairs:
        rng, half = np.random.default_rng(seed), self.pairs // 2
        sharing = follows.draw_sharing(half, rng)
        if len(sharing) < self.min_pairs:
            raise Undefined(
                f"{len(sharing)} pairs of the {len(follows.sources)} users with a vector share a followee, "
                f"needs {self.min_pairs}",
                rows_used=len(sharing),
                rows_left_out=left_out,
            )
        rows = np.concatenate([sharing, follows.draw_apart(half, rng)])
        return Pairs(rows=rows, jaccard=follows.jaccard(*rows.T))

    def _score(self, metric: str, pairs: Pairs, near: Mapping[str, np.ndarray], common: Mapping[str, Any]) -> Score:
        """One metric: the nearness found, with an interval, beside what shuffled vectors and log degrees reach."""
        count, found = len(pairs.rows), near["found"]
        for what, values in (("Jaccard index", pairs.jaccard), ("nearness", found)):
            if np.ptp(values) == 0:
                gap = Undefined(f"all {count} pairs have the {what} {values[0]:.4g}", rows_used=count)
                return undefined_score(ID, metric, gap, seed=common["seed"])
        floors = {
            source: statistics.once(statistics.spearman, values, pairs.jaccard)
            for source, values in near.items()
            if source != "found" and np.ptp(values) > 0
        }
        value = statistics.estimate(
            partial(statistics.spearman, statistics.ranking(found), statistics.ranking(pairs.jaccard)),
            count,
            seed=common["seed"],
            draws=self.draws,
            drawn=statistics.resample_ends(*pairs.rows.T),
        )
        return Score(
            task=ID,
            metric=metric,
            **vars(value),
            floor=max(floors.values(), default=None),
            rows_used=count,
            **{**common, "details": {**common["details"], "floors": floors}},
        )


TASK = Task(
    id=ID,
    entity="user",
    score=FollowJaccard(),
    title="User Follow Jaccard",
    headline="spearman_cosine",
    metrics=METRICS,
    needs_labels=(LABELS,),
    uses_labels=(HELD_OUT,),
    about="Rank correlation of two users' nearness with the Jaccard index of whom they follow.",
)
