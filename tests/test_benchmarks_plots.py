"""Pictures: valid, small, the same for the same input, and safe on what data hold."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from sklearn.manifold import TSNE

from benchmarks import plots, vector_map
from benchmarks.similarity_plane import PERPLEXITY, affinities, similarity_plane
from registry.judging.align import unit_rows
from registry.records import Score

LIMIT = 60_000  # bytes; a picture travels as base64 inside asset metadata


def size_of(png):
    assert len(png) < LIMIT
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return image.size


def history(weeks, metrics=5):
    return {
        f"2026-{1 + week // 4:02d}-{1 + 7 * (week % 4):02d}": [
            Score(
                task=f"task{at}.v1",
                metric="share",
                value=None if week == at else 0.5 + 0.01 * week,
                low=0.4,
                high=0.6,
                floor=0.1,
                rows_used=10,
            )
            for at in range(metrics)
        ]
        for week in range(weeks)
    }


@pytest.mark.parametrize("weeks", [0, 1, 26])
def test_score_history_draws_any_number_of_weeks(weeks):
    width, height = size_of(plots.score_history_png(history(weeks)))
    assert width > 300
    assert height > 200


def test_score_history_is_taller_for_more_metrics_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(plots, "MAX_PANELS", 6)
    heights = [size_of(plots.score_history_png(history(3, metrics=count)))[1] for count in (2, 6, 9)]
    assert heights[0] < heights[1] == heights[2]


def test_score_history_of_a_metric_that_never_had_a_value():
    weeks = {"2026-01-05": [Score(task="t", metric="m", value=None, rows_used=0, undefined="why")]}
    assert plots.score_history_png(weeks) != plots.score_history_png({"2026-01-05": []})


@pytest.mark.parametrize("losses", [[], [1.0], [3.0, math.nan, 2.0], [math.inf, 1.0], list(range(200))])
def test_loss_curve_takes_any_list(losses):
    assert size_of(plots.loss_curve_png(losses)) == (450, 270)


def test_vectors_of_many_scripts_and_signs_are_drawn_without_warnings(rng):
    keys = ["日本", "สวัสดี", "привет", "$a_b$", "مرحبا", "🙂", *(f"word{at}" for at in range(54))]
    vectors = rng.normal(size=(60, 16)).astype(np.float32)
    groups = [f"topic{at % 11}" for at in range(60)]
    first = plots.vectors_png(keys, vectors, groups, title="word/word@v1")
    assert size_of(first) == (648, 486)
    assert first == plots.vectors_png(keys, vectors, groups, title="word/word@v1")
    assert first != plots.vectors_png(keys, vectors)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 5), (3, 2)])
def test_vectors_of_tiny_tables(rng, shape):
    drawn = plots.vectors_png([str(at) for at in range(shape[0])], rng.normal(size=shape))
    assert size_of(drawn) == (648, 486)


def test_vectors_refuse_lengths_that_differ_and_nothing():
    with pytest.raises(ValueError, match="2 keys, 3 vectors, 2 groups"):
        plots.vectors_png(["a", "b"], np.ones((3, 2)))
    with pytest.raises(ValueError, match="2 keys, 2 vectors, 1 groups"):
        plots.vectors_png(["a", "b"], np.ones((2, 2)), ["x"])
    with pytest.raises(ValueError, match="at least one key"):
        plots.vectors_png([], np.ones((0, 2)))


def test_principal_plane_finds_the_planted_plane_and_its_variance(rng):
    N, D = 60, 7
    basis, _ = np.linalg.qr(rng.normal(size=(D, 2)))
    inside = rng.normal(size=(N, 2)) * [5.0, 2.0]
    points, shares = vector_map.principal_plane(inside @ basis.T)
    assert shares.sum() == pytest.approx(1.0)
    planted = inside - inside.mean(axis=0)
    np.testing.assert_allclose(points @ points.T, planted @ planted.T, atol=1e-8)
    mirrored, _ = vector_map.principal_plane(-(inside @ basis.T))
    assert np.abs(mirrored).max(axis=0) == pytest.approx(np.abs(points).max(axis=0))


def test_similarity_plane_keeps_planted_groups_together_and_repeats(rng):
    group = np.arange(60) % 4
    vectors = unit_rows(rng.normal(size=(4, 10))[group] + 0.2 * rng.normal(size=(60, 10)))
    start, _ = vector_map.principal_plane(vectors)
    places = similarity_plane(vectors, start)
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.where(np.eye(60), np.inf, 0)
    assert (group[apart.argmin(axis=1)] == group).mean() > 0.95
    np.testing.assert_array_equal(places, similarity_plane(vectors, start))


def test_similarity_plane_keeps_as_much_as_scikit_learns(rng):
    """The divergence that both minimise, of the same chances: within a tenth."""
    vectors = unit_rows(rng.normal(size=(12, 8))[np.arange(90) % 12] + 0.5 * rng.normal(size=(90, 8)))
    start, _ = vector_map.principal_plane(vectors)
    wanted = affinities(np.maximum(2 - 2 * vectors @ vectors.T, 0), PERPLEXITY)
    theirs = TSNE(method="exact", perplexity=PERPLEXITY, init=(start * 1e-4).astype(np.float32), max_iter=500)
    theirs.fit(vectors)

    def divergence(places):
        near = 1 / (1 + ((places[:, None] - places[None]) ** 2).sum(axis=2))
        np.fill_diagonal(near, 0)
        return (wanted * np.log(np.maximum(wanted, 1e-12) / np.maximum(near / near.sum(), 1e-12))).sum()

    assert divergence(theirs.embedding_) == pytest.approx(theirs.kl_divergence_, rel=0.01)
    assert divergence(similarity_plane(vectors, start)) < 1.1 * theirs.kl_divergence_


@pytest.mark.parametrize("rows", [np.eye(40), np.repeat(np.eye(3), 20, axis=0), np.vstack([np.eye(20), -np.eye(20)])])
def test_similarity_plane_of_ties_and_opposites_is_finite(rows):
    assert np.isfinite(similarity_plane(rows, vector_map.principal_plane(rows)[0])).all()


def test_equal_vectors_are_drawn_as_one_point():
    drawn = plots.vectors_png([f"word{at}" for at in range(40)], np.ones((40, 5), np.float32))
    assert size_of(drawn) == (648, 486)
