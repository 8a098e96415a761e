"""Do keys of one topic lie together? Neighbours among all labelled keys, whatever else sets them apart.

Sizes: N labelled keys with a vector, D width, Q queries, k neighbours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from benchmarks import statistics
from benchmarks.neighborhoods import nearest, points_one_way, sample_rows
from benchmarks.task import Evaluation, Undefined
from registry.judging.align import unit_rows
from registry.reader import Version
from registry.records import Score

METRIC = "same_topic"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledVectors:
    """The N keys that have one topic and a vector.

    Attributes:
        unit: (N, D) float32 unit rows.
        topics: (N,) int, topics numbered from 0 in the order of their names.
        groups: (N,) str, such as languages; all empty where the labels have none.
    """

    unit: np.ndarray
    topics: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TopicPurity:
    """Mean share of a key's nearest labelled keys that have its topic.

    A topic with fewer than k + 1 keys is asked only for as many neighbours as it has, so the
    ceiling is 1. A key alone in its topic asks nothing, but can be a wrong answer.

    Attributes:
        task: id of the task whose protocol this is.
        label: the label table, with a column `topic`.
        key: its column of keys.
        group: a further column that the details break the value down by, such as `lang`; None for none.
        k: neighbours looked at.
        queries: keys sampled for the interval; neighbours are searched among all labelled keys.
    """

    task: str
    label: str
    key: str
    group: str | None = None
    k: int = 10
    queries: int = 2000

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score, `same_topic`."""
        labels, seed = evaluation.labels[self.label], evaluation.seed
        found = self._labelled(evaluation.version, labels)
        self._require(found.unit, found.topics, left_out=labels.num_rows - len(found.unit))
        askable = np.flatnonzero(np.bincount(found.topics)[found.topics] > 1)
        rows = askable[sample_rows(len(askable), self.queries, seed)]
        neighbors = nearest(found.unit, rows, self.k)
        shares = same_topic_share(neighbors, rows, found.topics)
        score = Score(
            task=self.task,
            metric=METRIC,
            **vars(statistics.estimate(partial(statistics.mean, shares), len(rows), seed=seed)),
            floor=_shuffled_floor(neighbors, rows, found.topics, seed=seed),
            rows_used=len(rows),
            rows_left_out=labels.num_rows - len(askable),
            seed=seed,
            details={
                "k": self.k,
                f"{self.key}s": len(found.unit),
                "topics": int(found.topics.max()) + 1,
                "chance": chance(rows, found.topics),
                "labels": evaluation.lineage(self.label),
                **({f"by_{self.group}": _mean_by(found.groups[rows], shares)} if self.group else {}),
            },
        )
        return [score]

    def _labelled(self, version: Version, labels: pa.Table) -> LabelledVectors:
        """Look up the keys of the label rows; unknown, ambiguous and zero ones are left out."""
        groups = labels.column(self.group).to_pylist() if self.group else [""] * labels.num_rows
        rows = zip(labels.column(self.key).to_pylist(), labels.column("topic").to_pylist(), groups, strict=True)
        labelled = one_topic_keys(rows)
        vectors, known = version.lookup(list(labelled), missing="mask")
        unit = unit_rows(vectors)
        usable = known & unit.any(axis=1)
        topics, groups = (np.array([label[at] for label in labelled.values()], str) for at in (0, 1))
        _, numbered = np.unique(topics[usable], return_inverse=True)
        return LabelledVectors(unit=unit[usable], topics=numbered, groups=groups[usable])

    def _require(self, unit: np.ndarray, topics: np.ndarray, *, left_out: int) -> None:
        """Raise `Undefined` where the keys with a vector cannot be told apart."""
        sizes = np.bincount(topics) if len(topics) else np.zeros(1, int)
        what, reason = f"{self.key}s with a vector", None
        if len(unit) < self.k + 2:
            reason = f"needs at least {self.k + 2} labelled {what}, there are {len(unit)}"
        elif len(sizes) == 1:
            reason = f"all {len(unit)} labelled {what} have one topic"
        elif sizes.max() == 1:
            reason = f"each of the {len(unit)} labelled {what} is alone in its topic"
        elif points_one_way(unit):
            reason = f"the vectors of all {len(unit)} labelled {self.key}s point the same way"
        if reason:
            raise Undefined(reason, rows_used=len(unit), rows_left_out=left_out)


def one_topic_keys(rows: Iterable[tuple[str, str, str]]) -> dict[str, tuple[str, str]]:
    """Key -> (topic, group), in order of appearance; keys with two topics are left out."""
    seen: dict[str, tuple[str, str]] = {}
    ambiguous: set[str] = set()
    for key, topic, group in rows:
        if seen.setdefault(key, (topic, group))[0] != topic:
            ambiguous.add(key)
    return {key: label for key, label in seen.items() if key not in ambiguous}


def same_topic_share(neighbors: np.ndarray, queries: np.ndarray, topics: np.ndarray) -> np.ndarray:
    """(Q,) share of the nearest min(k, topic's other keys) that have the query's topic.

    NaN for a key alone in its topic.

    Args:
        neighbors: (Q, k) int, rows of the keys, best first.
        queries: (Q,) int, rows of the keys.
        topics: (N,) int, topic of every key.
    """
    own = topics[queries]
    depth = np.minimum(neighbors.shape[1], np.bincount(topics)[own] - 1)
    asked = np.arange(neighbors.shape[1]) < depth[:, None]
    hits = ((topics[neighbors] == own[:, None]) & asked).sum(axis=1)
    return np.divide(hits, depth, out=np.full(len(queries), np.nan), where=depth > 0)


def chance(queries: np.ndarray, topics: np.ndarray) -> float:
    """Expected share when neighbours are any other keys: mean of (topic size - 1) / (N - 1)."""
    return float((np.bincount(topics)[topics[queries]] - 1).mean() / (len(topics) - 1))


def _shuffled_floor(neighbors: np.ndarray, queries: np.ndarray, topics: np.ndarray, *, seed: int) -> float:
    """Mean share when the keys swap their vectors at random."""

    def shuffled(permutation: np.ndarray) -> float:
        # Swapping vectors is swapping labels: the neighbours need not be searched again.
        shares = same_topic_share(neighbors, queries, topics[permutation])
        shares = shares[np.isfinite(shares)]
        return float(shares.mean()) if len(shares) else 0.0

    return statistics.permuted_mean(shuffled, len(topics), seed=seed)


def _mean_by(groups: np.ndarray, values: np.ndarray) -> dict[str, float]:
    return {str(group): float(values[groups == group].mean()) for group in np.unique(groups)}
