"""Exact neighbours against a loop, matching by key, and the rotation."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import neighborhoods
from benchmarks.neighborhoods import (
    kept_share,
    nearest,
    points_one_way,
    sample_rows,
    share,
)
from registry.judging.align import rotate_onto, unit_rows


def loop_nearest(vectors, query, k):
    """Names of the k rows with the largest cosine, in plain Python."""
    cosines = []
    for row, vector in enumerate(vectors):
        if row != query:
            lengths = np.linalg.norm(vector) * np.linalg.norm(vectors[query])
            cosines.append((float(vector @ vectors[query]) / float(lengths), row))
    return [row for _, row in sorted(cosines, reverse=True)[:k]]


def test_nearest_equals_a_loop_in_any_batch_size(rng, monkeypatch):
    N, D, k = 23, 5, 4
    vectors = rng.normal(size=(N, D)).astype(np.float32)
    queries = np.array([2, 0, 22, 9, 11])
    expected = [loop_nearest(vectors, query, k) for query in queries]
    np.testing.assert_array_equal(nearest(unit_rows(vectors), queries, k), expected)
    monkeypatch.setattr(neighborhoods, "CELLS", 2 * N)  # two queries at a time
    np.testing.assert_array_equal(nearest(unit_rows(vectors), queries, k), expected)


@pytest.mark.parametrize("k", [0, -1, 6])
def test_nearest_refuses_k_that_has_no_answer(rng, k):
    with pytest.raises(ValueError, match=f"between 1 and 5.*got {k}"):
        nearest(unit_rows(rng.normal(size=(6, 3))), np.array([0]), k)


def test_kept_share_equals_set_intersection(rng):
    Q, k = 7, 5
    before = np.array([rng.permutation(12)[:k] for _ in range(Q)])
    now = np.array([rng.permutation(12)[:k] for _ in range(Q)])
    expected = [len(set(a) & set(b)) / k for a, b in zip(before.tolist(), now.tolist(), strict=True)]
    np.testing.assert_allclose(kept_share(before, now), expected)


def test_share_matches_by_key_and_leaves_zero_vectors_out(rng):
    before = pa.array(["a", "b", "c", "d"]), rng.normal(size=(4, 3)).astype(np.float32)
    now = pa.array(["x", "d", "b", "a", "y"]), rng.normal(size=(5, 2)).astype(np.float32)
    before[1][1] = 0  # "b" has no direction
    shared = share(before, now)
    assert shared.keys.to_pylist() == ["d", "a"]
    np.testing.assert_allclose(shared.before, unit_rows(before[1][[3, 0]]))
    np.testing.assert_allclose(shared.now, unit_rows(now[1][[1, 3]]))
    assert (shared.matched, shared.before_size, shared.now_size) == (3, 4, 5)


def test_share_of_disjoint_tables_is_empty(rng):
    shared = share(
        (pa.array(["a"]), np.ones((1, 2), np.float32)),
        (pa.array(["b"]), np.ones((1, 2), np.float32)),
    )
    assert (len(shared), shared.matched) == (0, 0)
    assert points_one_way(shared.now)


def test_rotation_recovers_a_planted_one(rng):
    N, D = 40, 6
    planted, _ = np.linalg.qr(rng.normal(size=(D, D)))
    source = rng.normal(size=(N, D))
    found = rotate_onto(source, source @ planted)
    np.testing.assert_allclose(found, planted, atol=1e-10)
    np.testing.assert_allclose(found @ found.T, np.eye(D), atol=1e-10)


def test_unit_rows_keep_zero_rows_and_sampling_is_seeded():
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    np.testing.assert_array_equal(sample_rows(5, 9, seed=0), np.arange(5))
    rows = sample_rows(1000, 10, seed=4)
    assert len(set(rows.tolist())) == 10
    np.testing.assert_array_equal(rows, sample_rows(1000, 10, seed=4))
    assert not np.array_equal(rows, sample_rows(1000, 10, seed=5))
