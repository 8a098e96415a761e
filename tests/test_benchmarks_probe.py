"""Probes: the regressions are scikit-learn's, the AUC a loop's, the interval honest, the real figures known."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array
from scipy.sparse.linalg import svds
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import logistic
from benchmarks.logistic import decisions
from benchmarks.probe import floors, probe, require_varied, stratified_folds
from benchmarks.statistics import estimate, once, placements, resample_ends, roc_auc, spearman
from benchmarks.task import Undefined

N, D, P = 240, 5, 7


def questions(rng, strength=1.0):
    """Features on odd scales with a constant column, P labels from rare to common, training rows."""
    features = rng.normal(size=(N, D)) * [1, 100, 0.01, 1, 3] + [0, 5, 0, 7, -2]
    features[:, 3] = 7.0
    scaled = (features - features.mean(axis=0)) / [1, 100, 0.01, 1, 3]
    chance = scaled @ (strength * rng.normal(size=(D, P))) + rng.logistic(size=(N, P))
    return (
        features,
        chance > np.quantile(chance, np.linspace(0.15, 0.85, P), axis=0).diagonal(),
        rng.random((N, P)) < 0.7,
    )


@pytest.mark.parametrize("strength", [0.3, 30.0])
def test_decisions_equal_scikit_learns_pipeline(rng, strength):
    features, positive, training = questions(rng, strength)
    found = decisions(features, positive, training)
    for at in range(P):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1, max_iter=5000, tol=1e-10))
        model.fit(features[training[:, at]], positive[training[:, at], at])
        np.testing.assert_allclose(found[:, at], model.decision_function(features), atol=2e-3, rtol=1e-3)


def test_decisions_of_labels_that_a_plane_separates_stay_finite_and_right(rng):
    features = rng.normal(size=(N, D))
    positive = features[:, :1] > 0
    found = decisions(features, positive, np.ones((N, 1), bool))
    assert np.isfinite(found).all()
    assert once(roc_auc, found[:, 0], positive[:, 0]) > 0.999


def test_problems_in_blocks_are_the_same_problems(rng, monkeypatch):
    features, positive, training = questions(rng)
    whole = decisions(features, positive, training)
    monkeypatch.setattr(logistic, "CELLS", 2 * N)
    np.testing.assert_allclose(decisions(features, positive, training), whole, atol=1e-2)


def test_placements_equal_a_plain_loop_with_ties(rng):
    hits, misses = rng.integers(0, 5, 11), rng.integers(0, 5, 8)
    above, below = placements(hits, misses)
    assert above == pytest.approx([np.mean([(h > m) + 0.5 * (h == m) for m in misses]) for h in hits])
    assert below == pytest.approx([np.mean([(h > m) + 0.5 * (h == m) for h in hits]) for m in misses])
    assert above.mean() == pytest.approx(below.mean())


def test_probe_equals_cross_validation_by_hand(rng):
    features, positive, _ = questions(rng)
    fold = np.stack([stratified_folds(column, folds=4, seed=3) for column in positive.T], axis=1)
    found = probe(features, positive, fold)
    assert found.auc.shape == (P, 4)
    for at, k in ((0, 0), (2, 3), (6, 1)):
        training = fold[:, at] != k
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1, max_iter=500))
        model.fit(features[training], positive[training, at])
        expected = roc_auc_score(positive[~training, at], model.decision_function(features[~training]))
        assert found.auc[at, k] == pytest.approx(expected, abs=1e-3)
    assert found.estimate.value == pytest.approx(found.auc.mean())


def test_every_user_is_tested_once_by_folds_that_hold_their_classes(rng):
    classes = rng.choice(["a", "b", "c"], size=101, p=[0.5, 0.3, 0.2])
    fold = stratified_folds(classes, folds=5, seed=0)
    assert set(fold) == set(range(5))
    for name in "abc":
        sizes = np.bincount(fold[classes == name], minlength=5)
        assert np.ptp(sizes) <= 1
    assert (fold == stratified_folds(classes, folds=5, seed=0)).all()
    assert (fold != stratified_folds(classes, folds=5, seed=1)).any()


def test_rows_of_a_negative_fold_only_train(rng):
    features, positive, _ = questions(rng)
    fold = np.where(rng.random((N, 1)) < 0.3, 0, -1)
    found = probe(features, positive[:, 3:4], fold)
    assert found.auc.shape == (1, 1)
    assert not found.pull[fold[:, 0] < 0].any()


def test_interval_of_a_probe_holds_the_truth_as_often_as_it_says(rng):
    """Labels that the features say nothing of: the truth is one half, and what a regression learns is all noise."""
    features = rng.normal(size=(150, 3))
    fold = (np.arange(150) % 3)[:, None]
    held = 0
    for _ in range(120):
        found = probe(features, rng.random((150, 1)) < 0.4, fold).estimate
        held += found.low <= 0.5 <= found.high
    assert 0.9 <= held / 120 <= 0.99


def test_floors_of_a_label_that_is_popularity_are_high_by_count_and_chance_by_shuffling(rng):
    counts = rng.gamma(1.0, 50.0, size=N)
    positive = (counts > np.median(counts))[:, None]
    fold = stratified_folds(positive[:, 0], seed=0)[:, None]
    found = floors(rng.normal(size=(N, D)), counts, positive, fold, seed=0)
    assert found.log_count > 0.99
    assert found.highest == found.log_count
    assert abs(found.shuffled - 0.5) < 0.12
    assert floors(rng.normal(size=(N, D)), None, positive, fold, seed=0).log_count is None


def test_users_with_one_vector_are_refused():
    with pytest.raises(Undefined, match="the vectors of all 9 users are the same"):
        require_varied(np.ones((9, 3)), left_out=0)


def test_drawing_ends_makes_intervals_of_pairs_that_share_them_longer(rng):
    """Each of 30 users is in many pairs, and a user's own value decides all of them."""
    first, second = rng.integers(0, 30, size=(2, 600))
    taste = rng.normal(size=30)
    x = taste[first] + 0.1 * rng.normal(size=600)
    y = taste[first] * rng.normal(size=30)[first]
    alone = estimate(lambda weights: spearman(x, y, weights), 600, seed=0, draws=200)
    by_ends = estimate(
        lambda weights: spearman(x, y, weights), 600, seed=0, draws=200, drawn=resample_ends(first, second)
    )
    assert by_ends.value == alone.value
    assert by_ends.high - by_ends.low > 1.5 * (alone.high - alone.low)


def test_pairs_are_weighted_by_both_ends():
    draw = resample_ends(np.array([3, 3, 5]), np.array([5, 9, 9]))
    weights = draw(3, 50, np.random.default_rng(0))
    assert weights.shape == (50, 3)
    ends = np.random.default_rng(0).integers(3, size=(50, 3))  # the same draws of ends 3, 5, 9
    count = np.stack([(ends == end).sum(axis=1) for end in range(3)], axis=1)
    np.testing.assert_array_equal(weights, count[:, [0, 0, 1]] * count[:, [1, 2, 2]])


@pytest.mark.slow
@pytest.mark.parametrize(("attribute", "expected", "spread"), [("partner", 0.889, 0.011), ("mature", 0.674, 0.006)])
def test_real_twitch_item_graph_gives_the_figures_of_the_protocol(real_data, attribute, expected, spread):
    """SVD of the raw item graph, U sqrt(S), 64 columns: mean and standard deviation over the five folds."""
    items = pq.read_table(real_data / "twitch_de" / "features.parquet")
    users = pq.read_table(real_data / "twitch_de" / "users.parquet").sort_by("user_id")
    _, item = np.unique(items["item_id"].to_numpy(), return_inverse=True)
    graph = csr_array(
        (np.ones(items.num_rows), (items["user_id"].to_numpy(), item)), shape=(users.num_rows, item.max() + 1)
    )
    left, scale, _ = svds(graph, 64, solver="arpack", random_state=0)
    labels = users[attribute].to_numpy(zero_copy_only=False)
    found = probe(left * np.sqrt(scale), labels[:, None], stratified_folds(labels, seed=0)[:, None])
    assert found.auc.mean() == pytest.approx(expected, abs=0.001)
    assert found.auc.std() == pytest.approx(spread, abs=0.001)
    assert found.estimate.low < expected < found.estimate.high
