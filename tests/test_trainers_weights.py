"""Weights against loops over every pair of a small table."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from embedding_assets.trainers.svd import WEIGHTS
from embedding_assets.trainers.weights import degree_normalized, log_pmi, weighted

ROWS, COLUMNS = 7, 5


@pytest.fixture
def counts(rng) -> sp.csr_array:
    dense = rng.integers(1, 9, (ROWS, COLUMNS)) * (rng.random((ROWS, COLUMNS)) < 0.6)
    dense[2] = 0  # a row without pairs
    dense[:, 3] = 0  # and a column
    dense[4, 1] = 5
    return sp.csr_array(dense.astype(np.float32))


def plain(name: str, dense: np.ndarray) -> np.ndarray:
    """The same weights, one pair at a time."""
    want, total = np.zeros(dense.shape), dense.sum()
    for i in range(ROWS):
        for j in range(COLUMNS):
            n = dense[i, j]
            if not n:
                continue
            want[i, j] = {
                "raw": n,
                "log": math.log(1 + n),
                "tfidf": n * (1 + math.log((1 + ROWS) / (1 + np.count_nonzero(dense[:, j])))),
                "ppmi": max(0.0, math.log(n * total / (dense[i].sum() * dense[:, j].sum()))),
            }[name]
    return want


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_match_a_plain_loop(counts, name):
    dense = counts.toarray().astype(np.float64)
    got = weighted(counts, name)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.toarray(), plain(name, dense), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", WEIGHTS)
def test_counts_are_left_as_they_were(counts, name):
    before = counts.toarray()
    degree_normalized(weighted(counts, name))
    np.testing.assert_array_equal(counts.toarray(), before)


def test_damping_halves_a_center_with_that_many_counts(counts):
    chances = counts.sum(axis=0) / counts.sum()
    plain_pmi, damped = (log_pmi(counts, chances, damping).toarray() for damping in (0.0, 11.0))
    mass = counts.toarray().sum(axis=1)
    assert plain_pmi.any()
    np.testing.assert_allclose(damped, plain_pmi * (mass / (mass + 11.0))[:, None], rtol=1e-5)


def test_degrees_divide_by_the_roots_of_both_sums(counts):
    dense = counts.toarray().astype(np.float64)
    want = np.zeros_like(dense)
    for i in range(ROWS):
        for j in range(COLUMNS):
            if dense[i, j]:
                want[i, j] = dense[i, j] / math.sqrt(dense[i].sum() * dense[:, j].sum())
    got = degree_normalized(counts)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got.toarray(), want, rtol=1e-5)
    assert np.linalg.svd(got.toarray(), compute_uv=False)[0] == pytest.approx(1.0, abs=1e-5)


def test_degrees_leave_zero_weights_alone():
    zero = sp.csr_array((np.zeros(2, np.float32), ([0, 1], [1, 0])), shape=(3, 2))
    assert not degree_normalized(zero).toarray().any()
