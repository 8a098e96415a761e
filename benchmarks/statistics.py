"""Weighted rank statistics and their bootstrap intervals, all draws at once.

A bootstrap draw is a row of weights: how often each of n examples was drawn. Every statistic here
takes (B, n) weights and gives (B,) values, so one call serves all draws, or the plain value by
weights of 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

#: (B, n) weights -> (B,) values; NaN where a draw has no answer.
Statistic = Callable[[np.ndarray], np.ndarray]

#: (n examples, size, generator) -> (size, n) weights: how often each example is in a draw.
Resample = Callable[[int, int, np.random.Generator], np.ndarray]

DRAWS = 1000
LEVEL = 0.95
#: Drawn weights held at once; 2**19 float64 are 4 MB, and more no longer fit a processor's cache.
CELLS = 2**19


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its 95% bootstrap interval; no ends where too few draws have an answer."""

    value: float
    low: float | None
    high: float | None


def estimate(statistic: Statistic, n: int, *, seed: int, draws: int = DRAWS, drawn: Resample | None = None) -> Estimate:
    """The statistic on all n examples, with the percentile interval over `draws` resamples.

    Args:
        statistic: of the examples.
        n: how many there are.
        seed: of the draws.
        draws: how many.
        drawn: how a resample is drawn; None draws the examples one by one.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979.
    """
    value = float(statistic(np.ones((1, n)))[0])
    rng = np.random.default_rng(seed)
    step = max(1, CELLS // n)
    sizes = [min(step, draws - start) for start in range(0, draws, step)]
    values = np.concatenate([statistic((drawn or resample)(n, size, rng)) for size in sizes])
    values = values[np.isfinite(values)]
    if len(values) < draws / 2:
        return Estimate(value=value, low=None, high=None)
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def resample(n: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws, n) float64: how often each example falls into a sample of n with replacement."""
    picked = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(picked.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)


def resample_ends(first: np.ndarray, second: np.ndarray) -> Resample:
    """Draws of pairs by drawing their ends: a pair counts as often as both its ends were drawn together.

    Pairs that share an end are not independent; drawing them one by one would make the interval too short.

    Args:
        first: (n,) int, number of each pair's first end.
        second: (n,) int.

    Source: Owen, The pigeonhole bootstrap, 2007.
    """
    ends, numbered = np.unique(np.concatenate([first, second]), return_inverse=True)
    sides = numbered[: len(first)], numbered[len(first) :]

    def draw(_: int, size: int, rng: np.random.Generator) -> np.ndarray:
        drawn = resample(len(ends), size, rng)
        return drawn[:, sides[0]] * drawn[:, sides[1]]

    return draw


def normal_interval(value: float, pull: np.ndarray, *, lowest: float, highest: float) -> Estimate:
    """A value with its 95% interval, from how far each of n independent examples moves it.

    Args:
        value: the statistic.
        pull: (n,) influence of each example on it, divided by n, so that they sum to about 0.
        lowest: of any value.
        highest: of any value.
    """
    reach = 1.959964 * float(np.sqrt((pull**2).sum()))
    return Estimate(value=value, low=max(lowest, value - reach), high=min(highest, value + reach))


def placements(hits: np.ndarray, misses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P,) share of misses below each hit and (M,) share of hits above each miss; ties count half.

    The mean of either is the ROC-AUC.
    """
    return _share_below(hits, misses), 1.0 - _share_below(misses, hits)


def _share_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    ordered = np.sort(others)
    below, through = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + through) / (2 * len(others))


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) weighted means of (n,) values."""
    return weights @ values / weights.sum(axis=1)


class Ranking(NamedTuple):
    """What the ranks of n values in every draw follow from; made once where a statistic is asked for often.

    Attributes:
        order: (n,) positions of the values, rising.
        starts: (G,) where in `order` each distinct value begins.
        group: (n,) number of each value's distinct value.
    """

    order: np.ndarray
    starts: np.ndarray
    group: np.ndarray


def ranking(values: np.ndarray) -> Ranking:
    """Of (n,) values."""
    distinct, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    return Ranking(order, np.searchsorted(group[order], np.arange(len(distinct))), group)


def midranks(values: np.ndarray | Ranking, weights: np.ndarray) -> np.ndarray:
    """(B, n) ranks from 1 of (n,) values, each repeated by its weight; ties share the middle."""
    order, starts, group = values if isinstance(values, Ranking) else ranking(values)
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.cumsum(totals, axis=1) - (totals - 1) / 2
    return ranks[:, group]


def spearman(first: np.ndarray | Ranking, second: np.ndarray | Ranking, weights: np.ndarray) -> np.ndarray:
    """(B,) rank correlations of two (n,) columns; NaN where a column is constant."""
    total = weights.sum(axis=1, keepdims=True)
    a, b = midranks(first, weights), midranks(second, weights)
    a -= (weights * a).sum(axis=1, keepdims=True) / total
    b -= (weights * b).sum(axis=1, keepdims=True) / total
    weighted = weights * b
    scale = np.sqrt(np.einsum("bn,bn,bn->b", weights, a, a) * np.einsum("bn,bn->b", weighted, b))
    return _divide(np.einsum("bn,bn->b", weighted, a), scale)


def roc_auc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) chances that a positive example scores above a negative one, ties counted half.

    Args:
        scores: (n,) any real type.
        positive: (n,) bool.
        weights: (B, n); a draw without a positive or without a negative gives NaN.
    """
    ours = weights * positive
    positives = ours.sum(axis=1)
    negatives = weights.sum(axis=1) - positives
    wins = (ours * midranks(scores, weights)).sum(axis=1) - positives * (positives + 1) / 2
    return _divide(wins, positives * negatives)


def recall_at_positives(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) share of the P positives among the P best scores; a tie at the border counts in part."""
    distinct, group = np.unique(-scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))
    totals = np.add.reduceat(weights[:, order], starts, axis=1)
    hits = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    wanted = hits.sum(axis=1, keepdims=True)
    room = wanted - (np.cumsum(totals, axis=1) - totals)
    taken = np.clip(_divide(room, totals), 0.0, 1.0)
    return _divide(np.nansum(taken * hits, axis=1), wanted[:, 0])


def permuted_mean(statistic: Callable[[np.ndarray], float], n: int, *, seed: int, times: int = 20) -> float:
    """Mean of `statistic(permutation)` over permutations of n: the floor of what knows nothing."""
    rng = np.random.default_rng(seed)
    return float(np.mean([statistic(rng.permutation(n)) for _ in range(times)]))


def once(statistic: Callable[..., np.ndarray], *columns: np.ndarray) -> float:
    """A statistic of equally weighted columns, as one number."""
    return float(partial(statistic, *columns)(np.ones((1, len(columns[0]))))[0])


def _divide(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    return np.divide(over, under, out=np.full_like(over, np.nan, dtype=np.float64), where=under > 0)
