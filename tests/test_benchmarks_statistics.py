"""Weighted statistics against the libraries' own on the repeated rows, and intervals that cover."""

from functools import partial

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from benchmarks import statistics


@pytest.fixture
def columns(rng):
    """Two correlated columns with many ties, a label, and weights of 4 draws."""
    n = 37
    first = rng.integers(0, 6, n).astype(float)
    second = np.round(first + rng.normal(size=n) * 2)
    return first, second, second > 2, statistics.resample(n, 4, rng)


def test_spearman_equals_scipy_on_repeated_rows(columns):
    first, second, _, weights = columns
    found = statistics.spearman(first, second, weights)
    times = weights.astype(int)
    expected = [stats.spearmanr(np.repeat(first, t), np.repeat(second, t))[0] for t in times]
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-10)


def test_roc_auc_equals_scikit_learn_on_repeated_rows(columns):
    first, _, positive, weights = columns
    found = statistics.roc_auc(first, positive, weights)
    expected = [roc_auc_score(np.repeat(positive, t), np.repeat(first, t)) for t in weights.astype(int)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_recall_equals_the_mean_over_all_ways_to_break_ties(columns, rng):
    first, _, positive, weights = columns
    found = statistics.recall_at_positives(first, positive, weights)
    for draw, times in zip(found, weights.astype(int), strict=True):
        scores, hits = np.repeat(first, times), np.repeat(positive, times)
        tries = []
        for _ in range(4000):
            order = np.lexsort([rng.random(len(scores)), -scores])
            tries.append(hits[order[: hits.sum()]].mean())
        assert draw == pytest.approx(np.mean(tries), abs=0.01)


def test_resampled_weights_sum_to_the_number_of_examples(rng):
    weights = statistics.resample(11, 5, rng)
    assert weights.shape == (5, 11)
    np.testing.assert_array_equal(weights.sum(axis=1), 11)


def test_constant_columns_and_single_classes_give_nan_not_one_half():
    constant, rising = np.ones(5), np.arange(5.0)
    assert np.isnan(statistics.once(statistics.spearman, constant, rising))
    assert np.isnan(statistics.once(statistics.roc_auc, rising, np.ones(5, bool)))
    assert np.isnan(statistics.once(statistics.recall_at_positives, rising, np.zeros(5, bool)))


def test_interval_of_a_mean_is_as_wide_as_theory_says(rng):
    values = rng.normal(size=900)
    found = statistics.estimate(partial(statistics.mean, values), 900, seed=3)
    half = 1.96 * values.std() / np.sqrt(900)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.2 * half)


def test_interval_repeats_by_seed_and_does_not_depend_on_the_chunk(rng, monkeypatch):
    values = rng.normal(size=50)
    run = partial(statistics.estimate, partial(statistics.mean, values), 50)
    whole = run(seed=1)
    assert run(seed=1) == whole
    assert run(seed=2) != whole
    monkeypatch.setattr(statistics, "CELLS", 333)
    assert run(seed=1) == whole


def test_draws_without_an_answer_are_dropped_and_too_few_give_no_interval():
    scores, positive = np.arange(60.0), np.arange(60) == 0
    # The one positive is missing from 37% of the draws; in all others it scores lowest.
    found = statistics.estimate(partial(statistics.roc_auc, scores, positive), 60, seed=0)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    without_repeats = statistics.estimate(lambda w: np.where(w.max(axis=1) == 1, 1.0, np.nan), 9, seed=0)
    assert (without_repeats.value, without_repeats.low, without_repeats.high) == (1.0, None, None)


def test_permuted_mean_of_an_auc_is_one_half(rng):
    scores, positive = rng.normal(size=400), rng.random(400) < 0.3
    floor = statistics.permuted_mean(
        lambda order: statistics.once(statistics.roc_auc, scores, positive[order]), 400, seed=0
    )
    assert floor == pytest.approx(0.5, abs=0.03)
