"""Do words of one planted topic lie together? Neighbours among all labelled words, any language."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from benchmarks import statistics
from benchmarks.neighborhoods import nearest, points_one_way, sample_rows
from benchmarks.task import Evaluation, Task, Undefined
from registry.judging.align import unit_rows
from registry.reader import Version
from registry.records import Score

ID = "topic_purity.v1"
METRIC = "same_topic"


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledVectors:
    """The N words that have one topic and a vector.

    Attributes:
        unit: (N, D) float32 unit rows.
        topics: (N,) int, topics numbered from 0 in the order of their names.
        langs: (N,) str.
    """

    unit: np.ndarray
    topics: np.ndarray
    langs: np.ndarray


@dataclass(frozen=True, kw_only=True)
class TopicPurity:
    """Mean share of a word's nearest labelled words that have its topic.

    A topic with fewer than k + 1 words is asked only for as many neighbours as it has, so the
    ceiling is 1. A word alone in its topic asks nothing, but can be a wrong answer.

    Attributes:
        k: neighbours looked at.
        queries: words sampled for the interval; neighbours are searched among all labelled words.
    """

    k: int = 10
    queries: int = 2000

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score, `same_topic`."""
        labels, seed = evaluation.labels["truth_words"], evaluation.seed
        words = labelled_vectors(evaluation.version, labels)
        self._require(words.unit, words.topics, left_out=labels.num_rows - len(words.unit))
        askable = np.flatnonzero(np.bincount(words.topics)[words.topics] > 1)
        rows = askable[sample_rows(len(askable), self.queries, seed)]
        neighbors = nearest(words.unit, rows, self.k)
        shares = same_topic_share(neighbors, rows, words.topics)
        found = statistics.estimate(partial(statistics.mean, shares), len(rows), seed=seed)
        score = Score(
            task=ID,
            metric=METRIC,
            **vars(found),
            floor=_shuffled_floor(neighbors, rows, words.topics, seed=seed),
            rows_used=len(rows),
            rows_left_out=labels.num_rows - len(askable),
            seed=seed,
            details={
                "k": self.k,
                "words": len(words.unit),
                "topics": int(words.topics.max()) + 1,
                "chance": chance(rows, words.topics),
                "by_lang": _mean_by(words.langs[rows], shares),
            },
        )
        return [score]

    def _require(self, unit: np.ndarray, topics: np.ndarray, *, left_out: int) -> None:
        """Raise `Undefined` where the words with a vector cannot be told apart."""
        sizes = np.bincount(topics) if len(topics) else np.zeros(1, int)
        reason = None
        if len(unit) < self.k + 2:
            reason = f"needs at least {self.k + 2} labelled words with a vector, there are {len(unit)}"
        elif len(sizes) == 1:
            reason = f"all {len(unit)} labelled words with a vector have one topic"
        elif sizes.max() == 1:
            reason = f"each of the {len(unit)} labelled words with a vector is alone in its topic"
        elif points_one_way(unit):
            reason = f"the vectors of all {len(unit)} labelled words point the same way"
        if reason:
            raise Undefined(reason, rows_used=len(unit), rows_left_out=left_out)


def labelled_vectors(version: Version, labels: pa.Table) -> LabelledVectors:
    """Look up the words of `truth_words` rows; unknown, ambiguous and zero ones are left out."""
    labelled = one_topic_words(labels)
    vectors, found = version.lookup(list(labelled), missing="mask")
    unit = unit_rows(vectors)
    usable = found & unit.any(axis=1)
    topics, langs = (np.array([label[at] for label in labelled.values()], str) for at in (0, 1))
    _, numbered = np.unique(topics[usable], return_inverse=True)
    return LabelledVectors(unit=unit[usable], topics=numbered, langs=langs[usable])


def one_topic_words(labels: pa.Table) -> dict[str, tuple[str, str]]:
    """Word -> (topic, language), in order of appearance; words with two topics are left out."""
    columns = (labels.column(name).to_pylist() for name in ("word", "topic", "lang"))
    seen: dict[str, tuple[str, str]] = {}
    ambiguous: set[str] = set()
    for word, topic, lang in zip(*columns, strict=True):
        if seen.setdefault(word, (topic, lang))[0] != topic:
            ambiguous.add(word)
    return {word: label for word, label in seen.items() if word not in ambiguous}


def same_topic_share(neighbors: np.ndarray, queries: np.ndarray, topics: np.ndarray) -> np.ndarray:
    """(Q,) share of the nearest min(k, topic's other words) that have the query's topic.

    NaN for a word alone in its topic.

    Args:
        neighbors: (Q, k) int, rows of the words, best first.
        queries: (Q,) int, rows of the words.
        topics: (N,) int, topic of every word.
    """
    own = topics[queries]
    depth = np.minimum(neighbors.shape[1], np.bincount(topics)[own] - 1)
    asked = np.arange(neighbors.shape[1]) < depth[:, None]
    hits = ((topics[neighbors] == own[:, None]) & asked).sum(axis=1)
    return np.divide(hits, depth, out=np.full(len(queries), np.nan), where=depth > 0)


def chance(queries: np.ndarray, topics: np.ndarray) -> float:
    """Expected share when neighbours are any other words: mean of (topic size - 1) / (N - 1)."""
    return float((np.bincount(topics)[topics[queries]] - 1).mean() / (len(topics) - 1))


def _shuffled_floor(neighbors: np.ndarray, queries: np.ndarray, topics: np.ndarray, *, seed: int) -> float:
    """Mean share when the words swap their vectors at random."""

    def shuffled(permutation: np.ndarray) -> float:
        # Swapping vectors is swapping labels: the neighbours need not be searched again.
        shares = same_topic_share(neighbors, queries, topics[permutation])
        shares = shares[np.isfinite(shares)]
        return float(shares.mean()) if len(shares) else 0.0

    return statistics.permuted_mean(shuffled, len(topics), seed=seed)


def _mean_by(groups: np.ndarray, values: np.ndarray) -> dict[str, float]:
    return {str(group): float(values[groups == group].mean()) for group in np.unique(groups)}


TASK = Task(
    id=ID,
    entity="word",
    score=TopicPurity(),
    metrics=(METRIC,),
    needs_labels=("truth_words",),
    about="Share of a word's 10 nearest labelled words that have its planted topic.",
)
