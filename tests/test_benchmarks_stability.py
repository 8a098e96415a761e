"""Stability: copies at the ceiling, shuffled vectors at the floor, degenerate pairs undefined."""

import numpy as np
import pytest
from benchmark_world import (
    DIM,
    WORDS,
    judge,
    shuffled,
)

from benchmarks.task import Evaluation
from benchmarks.tasks.stability import Stability


def test_stability_of_a_rotated_copy_is_one_in_every_metric(world, plain):
    rotation, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(DIM, DIM)))
    turned = world.publish(plain.numpy() @ rotation)
    scores = judge("stability.v1", turned, history={1: plain})
    assert scores["neighbors_kept"].value == pytest.approx(1.0)
    assert scores["aligned_cosine"].value == pytest.approx(1.0, abs=1e-5)
    assert scores["vocabulary_kept"].value == 1.0
    assert scores["neighbors_kept"].details["compared_with"] == plain.reference


def test_stability_of_shuffled_vectors_is_at_its_floors(world, plain):
    scores = judge("stability.v1", world.publish(shuffled(plain.numpy())), history={1: plain})
    kept = scores["neighbors_kept"]
    assert kept.floor == pytest.approx(10 / (len(WORDS) - 1))
    assert kept.low <= kept.floor <= kept.high
    aligned = scores["aligned_cosine"]
    assert 0.05 < aligned.floor < 0.6  # a rotation fitted to noise gains something
    assert aligned.value == pytest.approx(aligned.floor, abs=0.05)


def test_kept_neighbours_equal_brute_force_on_the_shared_keys_only(world, plain):
    """The later version lacks some keys; its new ones must not take neighbours' places."""
    rng = np.random.default_rng(3)
    kept_rows = np.flatnonzero(np.arange(len(WORDS)) % 3 > 0)
    vectors = plain.numpy()[kept_rows] + 0.1 * rng.normal(size=(len(kept_rows), DIM))
    crowd = vectors[:50] + 1e-3 * rng.normal(size=(50, DIM))
    keys = [WORDS[row] for row in kept_rows] + [f"new{at}" for at in range(50)]
    later = world.publish(np.vstack([vectors, crowd]), keys=keys)
    score = judge("stability.v1", later, history={1: plain})["neighbors_kept"]
    sides = [plain.numpy()[kept_rows].astype(float), vectors.astype(np.float32).astype(float)]
    nearest = []
    for side in sides:
        side /= np.linalg.norm(side, axis=1, keepdims=True)
        cosine = side @ side.T - 9 * np.eye(len(side))
        nearest.append([set(np.argsort(-row)[:10].tolist()) for row in cosine])
    expected = np.mean([len(a & b) / 10 for a, b in zip(*nearest, strict=True)])
    assert 0.1 < expected < 0.9
    assert score.value == pytest.approx(expected, abs=1e-9)
    assert (score.rows_used, score.rows_left_out) == (len(kept_rows), 50)


def test_vocabulary_kept_counts_keys_gone_and_added(world, plain):
    later = world.publish(
        plain.numpy()[: len(WORDS) // 2],
        keys=[*WORDS[: len(WORDS) // 2 - 10], *map(str, range(10))],
    )
    score = judge("stability.v1", later, history={1: plain})["vocabulary_kept"]
    assert score.value == pytest.approx((len(WORDS) / 2 - 10) / len(WORDS))
    assert score.details["gone"] == len(WORDS) // 2 + 10
    assert score.details["added"] == 10


def test_stability_of_other_widths_and_of_strangers_is_undefined_where_it_must_be(world, plain):
    narrow = judge("stability.v1", world.publish(plain.numpy()[:, :5]), history={1: plain})
    assert narrow["neighbors_kept"].value is not None
    assert "widths: 24 before, 5 now" in narrow["aligned_cosine"].undefined
    strangers = world.publish(plain.numpy(), keys=[f"other{at}" for at in range(len(WORDS))])
    scores = judge("stability.v1", strangers, history={1: plain})
    assert (scores["neighbors_kept"].value, scores["aligned_cosine"].value) == (None, None)
    assert "both versions have, there are 0" in scores["neighbors_kept"].undefined
    assert scores["vocabulary_kept"].value == 0.0


def test_stability_of_equal_vectors_and_of_one_word_is_undefined(world, plain):
    flat = world.publish(np.ones((len(WORDS), DIM)))
    scores = judge("stability.v1", flat, history={1: plain})
    assert "point the same way" in scores["neighbors_kept"].undefined
    lone = world.publish(np.ones((1, DIM)), keys=WORDS[:1])
    assert "there are 1" in judge("stability.v1", lone, history={1: plain})["neighbors_kept"].undefined


def test_sampled_queries_repeat_by_seed_and_agree_with_all_of_them(world, plain):
    rng = np.random.default_rng(4)
    later = world.publish(plain.numpy() + 0.05 * rng.normal(size=(len(WORDS), DIM)))
    task = Stability(queries=150)
    runs = [task(Evaluation(version=later, history={1: plain}, seed=seed))[0] for seed in (7, 7, 8)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    everything = judge("stability.v1", later, history={1: plain})["neighbors_kept"]
    assert runs[0].value == pytest.approx(everything.value, abs=0.05)
    assert (runs[0].rows_used, runs[0].rows_left_out) == (150, 0)  # not drawn is not left out
