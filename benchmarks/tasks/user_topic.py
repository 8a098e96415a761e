"""User Topic Prediction: can what a user cares for be read off their vector? One probe a topic."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmarks.labelled import MAX_USERS, Labelled, labelled_users
from benchmarks.probe import FOLDS, MIN_CLASS, floors, most_frequent, probe, require_varied, stratified_folds
from benchmarks.task import Evaluation, Task, Undefined
from registry.records import Score

ID = "user_topic.v1"
METRIC = "roc_auc"
LABELS = "user_topics"


@dataclass(frozen=True, kw_only=True)
class UserTopic:
    """Mean ROC-AUC over the most frequent topics, by cross-validation over users.

    Users of the label table without a topic that is asked about are still asked: they are its negatives.

    Attributes:
        topics: how many are asked about, the most frequent among users with a vector, ties by name.
        folds: of each topic's users, stratified.
        min_class: users that a topic must have, and lack, to be asked about.
        max_users: above so many a seeded sample is judged.
    """

    topics: int = 20
    folds: int = FOLDS
    min_class: int = MIN_CLASS
    max_users: int = MAX_USERS

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """One score, `roc_auc`; the details have each topic's."""
        table, seed = evaluation.labels[LABELS], evaluation.seed
        users = labelled_users(evaluation.version, table["user_id"], limit=self.max_users, seed=seed)
        require_varied(users.vectors, left_out=users.left_out)
        names, has = self._asked(table, users)
        fold = np.stack([stratified_folds(column, folds=self.folds, seed=seed) for column in has.T], axis=1)
        found = probe(users.vectors, has, fold)
        floor = floors(users.vectors, users.counts, has, fold, seed=seed)
        score = Score(
            task=ID,
            metric=METRIC,
            **vars(found.estimate),
            floor=floor.highest,
            rows_used=len(users),
            rows_left_out=users.left_out,
            seed=seed,
            details={
                "protocol": f"logistic regression, {self.folds} stratified folds over users, mean over topics",
                "by_topic": dict(zip(names, found.auc.mean(axis=1).tolist(), strict=True)),
                "floors": vars(floor),
                "labels": evaluation.lineage(LABELS),
                **users.details(evaluation.version),
            },
        )
        return [score]

    def _asked(self, table: pa.Table, users: Labelled) -> tuple[list[str], np.ndarray]:
        """Names of the L topics that are asked about, and (N, L) bool who has them.

        Raises:
            Undefined: no topic has enough users with it and without it.
        """
        has = _has_topic(table, users)
        counts = has.counts
        frequent = [has.names[at] for at in most_frequent(has.names, counts, self.topics)]
        asked = [at for at in map(has.names.index, frequent) if counts[at] >= self.min_class <= len(users) - counts[at]]
        if not asked:
            sizes = Counter(dict(zip(has.names, counts.tolist(), strict=True))).most_common(3)
            shown = ", ".join(f"{name} {count}" for name, count in sizes) or "none"
            raise Undefined(
                f"no topic has {self.min_class} users with it and {self.min_class} without it among the {len(users)} "
                f"labelled users with a vector (most frequent: {shown})",
                rows_used=len(users),
                rows_left_out=users.left_out,
            )
        return [has.names[at] for at in asked], has.of(asked)


@dataclass(frozen=True, eq=False)
class _Topics:
    """Who has which topic, as pairs without repeats.

    Attributes:
        names: of the topics.
        user: (n,) int.
        topic: (n,) int.
        users: how many there are, N.
    """

    names: list[str]
    user: np.ndarray
    topic: np.ndarray
    users: int

    @property
    def counts(self) -> np.ndarray:
        """(topics,) int users of each."""
        return np.bincount(self.topic, minlength=len(self.names))

    def of(self, asked: list[int]) -> np.ndarray:
        """(N, L) bool who has those topics."""
        found = np.zeros((self.users, len(self.names)), bool)
        found[self.user, self.topic] = True
        return found[:, asked]


def _has_topic(table: pa.Table, users: Labelled) -> _Topics:
    """Pairs of the label table whose user is judged."""
    rows = users.rows(table["user_id"])
    encoded = table["topic"].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    pairs = np.stack([rows, np.asarray(encoded.indices, np.int64)], axis=1)[rows >= 0]
    user, topic = np.unique(pairs, axis=0).T
    return _Topics(names, user, topic, len(users))


TASK = Task(
    id=ID,
    entity="user",
    score=UserTopic(),
    title="User Topic Prediction",
    metrics=(METRIC,),
    needs_labels=(LABELS,),
    about="ROC-AUC of a user's topics, read off the vector by logistic regression; mean over the 20 most frequent.",
)
