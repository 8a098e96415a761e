"""User Metadata Prediction: can an attribute such as age or country be read off the vector? One probe a class."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.labelled import MAX_USERS, Labelled, labelled_users
from benchmarks.probe import (
    FOLDS,
    MIN_CLASS,
    Floors,
    Probed,
    floors,
    most_frequent,
    probe,
    require_varied,
    stratified_folds,
)
from benchmarks.statistics import normal_interval
from benchmarks.task import Evaluation, Task, Undefined, undefined_score
from registry.records import Score

ID = "user_metadata.v1"
METRIC = "roc_auc"
LABELS = "user_metadata"


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribute:
    """One attribute of n users, as classes.

    Attributes:
        name: of the attribute.
        rows: (n,) int, which of the judged users.
        classes: (n,) str.
        left_out: users with two values, or of a class that is too rare.
        split_at: the median, where numbers were split into those above it and the others.
    """

    name: str
    rows: np.ndarray
    classes: np.ndarray
    left_out: int
    split_at: float | None = None

    @property
    def names(self) -> list[str]:
        """The classes that are asked about: of two, only the later, since the other is its mirror image."""
        names = sorted(set(self.classes.tolist()))
        return names[1:] if len(names) == 2 else names


@dataclass(frozen=True, kw_only=True)
class UserMetadata:
    """ROC-AUC of each attribute, one class against the rest, mean over classes; and the mean over attributes.

    Attributes:
        folds: of an attribute's users, stratified by class.
        min_class: users that a class must have; those of rarer ones are left out.
        max_classes: the most frequent ones that are asked about; numbers with more values are split at the median.
        max_users: above so many a seeded sample is judged.
    """

    folds: int = FOLDS
    min_class: int = MIN_CLASS
    max_classes: int = 20
    max_users: int = MAX_USERS

    def __call__(self, evaluation: Evaluation) -> list[Score]:
        """Scores `roc_auc`, the mean, and `roc_auc_<attribute>` of each one."""
        table, seed = evaluation.labels[LABELS], evaluation.seed
        users = labelled_users(evaluation.version, table["user_id"], limit=self.max_users, seed=seed)
        require_varied(users.vectors, left_out=users.left_out)
        shared = {"labels": evaluation.lineage(LABELS), **users.details(evaluation.version)}
        scores, found = [], []
        for name in sorted(table["attribute"].unique().to_pylist()):
            try:
                attribute = self._attribute(name, table.filter(pc.field("attribute") == name), users)
                probed, floor = self._probe(attribute, users, seed)
                scores.append(_score(attribute, probed, floor, users, seed))
                found.append(_spread(probed, attribute.rows, len(users)))
            except Undefined as gap:
                scores.append(undefined_score(ID, f"{METRIC}_{name}", gap, seed=seed))
        scores = [replace(score, details={**score.details, **shared}) for score in scores]
        return [_mean(scores, found, users, seed, shared), *scores]

    def _attribute(self, name: str, table: pa.Table, users: Labelled) -> Attribute:
        """The classes of one attribute.

        Raises:
            Undefined: fewer than two classes are frequent enough.
        """
        rows, values, ambiguous = _one_value(table, users)
        numbers = _numbers(values) if len(set(values.tolist())) > self.max_classes else None
        split_at = None if numbers is None else float(np.median(numbers))
        if numbers is not None:
            values = np.where(numbers > split_at, "above the median", "up to the median")
        names, counts = np.unique(values, return_counts=True)
        frequent = [
            at for at in most_frequent(names.tolist(), counts, self.max_classes) if counts[at] >= self.min_class
        ]
        kept = np.isin(values, names[frequent])
        left_out = ambiguous + int((~kept).sum())
        if len(frequent) < 2:
            shown = ", ".join(f"{names[at]} {counts[at]}" for at in most_frequent(names.tolist(), counts, 3)) or "none"
            raise Undefined(
                f"{name!r:.80} has {len(frequent)} classes of at least {self.min_class} users with a vector, "
                f"needs two (most frequent: {shown})",
                rows_used=int(kept.sum()),
                rows_left_out=left_out + users.left_out,
            )
        return Attribute(name=name, rows=rows[kept], classes=values[kept], left_out=left_out, split_at=split_at)

    def _probe(self, attribute: Attribute, users: Labelled, seed: int) -> tuple[Probed, Floors]:
        features = users.vectors[attribute.rows]
        counts = None if users.counts is None else users.counts[attribute.rows]
        require_varied(features, left_out=users.left_out)
        positive = attribute.classes[:, None] == np.array(attribute.names)
        fold = stratified_folds(attribute.classes, folds=self.folds, seed=seed)
        fold = np.repeat(fold[:, None], positive.shape[1], axis=1)
        return probe(features, positive, fold), floors(features, counts, positive, fold, seed=seed)


def _one_value(table: pa.Table, users: Labelled) -> tuple[np.ndarray, np.ndarray, int]:
    """(n,) rows of users with one value, in the table's order, (n,) str that value; how many have two or more."""
    encoded = table["value"].combine_chunks().dictionary_encode()
    pairs = np.stack([users.rows(table["user_id"]), np.asarray(encoded.indices, np.int64)], axis=1)
    pairs = pairs[pairs[:, 0] >= 0]
    distinct, first = np.unique(pairs, axis=0, return_index=True)
    values = np.bincount(distinct[:, 0], minlength=len(users))
    rows, codes = pairs[np.sort(first[values[distinct[:, 0]] == 1])].T
    return rows, np.array(encoded.dictionary.to_pylist(), str)[codes], int((values > 1).sum())


def _numbers(values: np.ndarray) -> np.ndarray | None:
    """(n,) float64 where all values are finite numbers, else None."""
    try:
        numbers = values.astype(np.float64)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _spread(probed: Probed, rows: np.ndarray, users: int) -> np.ndarray:
    """(N,) pull on an attribute's value of all judged users, 0 of those that were not asked."""
    pull = np.zeros(users)
    pull[rows] = probed.pull
    return pull


def _score(attribute: Attribute, probed: Probed, floor: Floors, users: Labelled, seed: int) -> Score:
    details: dict[str, Any] = {
        "protocol": f"logistic regression, {probed.auc.shape[1]} stratified folds over users, one class against rest",
        "by_class": dict(zip(attribute.names, probed.auc.mean(axis=1).tolist(), strict=True)),
        "floors": vars(floor),
    }
    if attribute.split_at is not None:
        details["split_at_median"] = attribute.split_at
    return Score(
        task=ID,
        metric=f"{METRIC}_{attribute.name}",
        **vars(probed.estimate),
        floor=floor.highest,
        rows_used=len(attribute.rows),
        rows_left_out=attribute.left_out + users.left_out,
        seed=seed,
        details=details,
    )


def _mean(scores: list[Score], pulls: list[np.ndarray], users: Labelled, seed: int, details: dict[str, Any]) -> Score:
    """The mean over the attributes that have a value, its interval over users: they are the same in each."""
    defined = [score for score in scores if score.value is not None]
    if not defined:
        reasons = "; ".join(str(score.undefined) for score in scores) or "the label table is empty"
        gap = Undefined(f"no attribute can be asked about: {reasons}", rows_left_out=users.left_out + len(users))
        return undefined_score(ID, METRIC, gap, seed=seed)
    asked = np.any(pulls, axis=0)
    value = float(np.mean([score.value or 0.0 for score in defined]))
    return Score(
        task=ID,
        metric=METRIC,
        **vars(normal_interval(value, np.mean(pulls, axis=0), lowest=0.0, highest=1.0)),
        floor=float(np.mean([score.floor or 0.0 for score in defined])),
        rows_used=int(asked.sum()),
        rows_left_out=users.left_out + int((~asked).sum()),
        seed=seed,
        details={
            "protocol": "mean over attributes",
            "by_attribute": {score.metric.removeprefix(f"{METRIC}_"): score.value for score in defined},
            "undefined": {score.metric: score.undefined for score in scores if score.value is None},
            **details,
        },
    )


TASK = Task(
    id=ID,
    entity="user",
    score=UserMetadata(),
    title="Metadata Prediction",
    metrics=(METRIC,),
    needs_labels=(LABELS,),
    about="ROC-AUC of a user's attributes, read off the vector by logistic regression; one score each, and the mean.",
)
