"""What can be read off vectors: logistic regressions on them, judged on users they have not seen.

A label is asked of every user; each user is tested once for each label, by a regression that learnt from
the other folds. The value is the ROC-AUC of the decision function, mean over folds and then over labels.
Sizes: N users, D features, L labels, K folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.logistic import decisions
from benchmarks.statistics import Estimate, normal_interval, placements
from benchmarks.task import Undefined

#: Under so many users of a class a fold has too few of them to say anything.
MIN_CLASS = 20
FOLDS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Probed:
    """How well labels can be read off features.

    Attributes:
        auc: (L, K) float64, of each label on each fold that tests.
        pull: (N,) float64, how far each user moves the mean of `auc`, by being tested and by what it trains.
    """

    auc: np.ndarray
    pull: np.ndarray

    @property
    def estimate(self) -> Estimate:
        """Mean with its 95% interval over users."""
        return normal_interval(float(self.auc.mean()), self.pull, lowest=0.0, highest=1.0)


def probe(features: np.ndarray, positive: np.ndarray, fold: np.ndarray) -> Probed:
    """Fit a regression for every label and fold, on all other users, and test it on that fold.

    Args:
        features: (N, D) real.
        positive: (N, L) bool; every fold needs both answers, inside and outside.
        fold: (N, L) int, the fold that tests a user on a label; negative ones only train.

    Source: DeLong, DeLong and Clarke-Pearson 1988, for the spread of an AUC; summing over a user's labels
    before squaring is Obuchowski 1997. Other users would train other regressions, too: the factor for that is
    Nadeau and Bengio 2003, equation 14.
    """
    folds = np.unique(fold[fold >= 0])
    testing = fold[:, :, None] == folds
    training = ~testing.reshape(len(fold), -1)
    asked = np.repeat(positive, len(folds), axis=1)
    decided = decisions(features, asked, training)
    auc, pull = np.empty(decided.shape[1]), np.zeros(len(fold))
    for problem in range(decided.shape[1]):
        rows = np.flatnonzero(~training[:, problem])
        hits, misses = (rows[asked[rows, problem] == answer] for answer in (True, False))
        above, below = placements(decided[hits, problem], decided[misses, problem])
        auc[problem] = above.mean()
        pull[hits] += (above - auc[problem]) / len(hits)
        pull[misses] += (below - auc[problem]) / len(misses)
    tested = (~training).sum(axis=0)
    widened = np.sqrt(1.0 + len(folds) * float((tested / (len(fold) - tested)).mean()))
    return Probed(auc=auc.reshape(positive.shape[1], -1), pull=widened * pull / len(auc))


def stratified_folds(classes: np.ndarray, *, folds: int = FOLDS, seed: int) -> np.ndarray:
    """(N,) int fold of each user, every class spread evenly; each class needs at least `folds` users."""
    from sklearn.model_selection import StratifiedKFold

    found = np.empty(len(classes), np.int64)
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(classes, classes)
    for at, (_, tested) in enumerate(splits):
        found[tested] = at
    return found


@dataclass(frozen=True, kw_only=True)
class Floors:
    """What a probe reaches that has nothing to go on but the following.

    Attributes:
        shuffled: vectors handed out to the users at random.
        log_count: the logarithm of how often a user occurs in the version's data; None where it does not say.
    """

    shuffled: float
    log_count: float | None = None

    @property
    def highest(self) -> float:
        """The floor that counts."""
        return max(self.shuffled, self.log_count or 0.0)


def floors(
    features: np.ndarray, counts: np.ndarray | None, positive: np.ndarray, fold: np.ndarray, *, seed: int
) -> Floors:
    """Probe shuffled vectors, and log counts where there are any, on the first of the folds: a floor may be rougher."""
    fold = np.where(fold == 0, 0, -1)
    shuffled = features[np.random.default_rng(seed).permutation(len(features))]
    by_count = None
    if counts is not None:
        by_count = float(probe(np.log1p(counts)[:, None], positive, fold).auc.mean())
    return Floors(shuffled=float(probe(shuffled, positive, fold).auc.mean()), log_count=by_count)


def require_varied(features: np.ndarray, *, left_out: int) -> None:
    """Raise `Undefined` where all users have the same vector, from which nothing can be read."""
    if len(features) and np.abs(features - features[0]).max() < 1e-9:
        raise Undefined(
            f"the vectors of all {len(features)} users are the same", rows_used=len(features), rows_left_out=left_out
        )


def most_frequent(names: Sequence[str], counts: np.ndarray, limit: int) -> list[int]:
    """Places of the `limit` most frequent names, most frequent first, ties by name."""
    return sorted(range(len(names)), key=lambda at: (-counts[at], names[at]))[:limit]
