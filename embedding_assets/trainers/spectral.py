"""A start for SGNS that already knows most of the answer: a low-rank factorisation of log PMI.

At SGNS's optimum a pair's score is log(n_ij / (n_i p_j)) - log k (Levy and Goldberg, 2014). The
positive part of it is sparse, so a randomized SVD takes a fraction of one training epoch.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.matrix import dimensions, row_of_each

OVERSAMPLING = 8
POWER_ROUNDS = 2


class Start(NamedTuple):
    """Settings of the start.

    Attributes:
        dim: D.
        damping: in counts; the log PMI of a center with this many is halved.
    """

    dim: int
    damping: float


def spectral_start(
    counts: sp.csr_array, noise: np.ndarray, settings: Start, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centers and contexts whose product is half of the damped log PMI, less 2.

    The last column holds the -2, as +sqrt 2 and -sqrt 2: pairs never seen begin at that score. Half
    of the log PMI, because negatives of unseen pairs pull the scores down.

    Args:
        counts: (V_row, V_col) float32 with positive entries.
        noise: (V_col,) float64, chance of each column to be drawn as a negative, p_j; sums to 1.
        settings: width and damping.
        rng: draws the first subspace.

    Returns:
        (V_row, D) and (V_col, D) float32.
    """
    matrix = log_pmi(counts, noise, settings.damping)
    left, singular, right = truncated_svd(matrix, settings.dim - 1, rng)
    scale = np.sqrt(0.5 * singular)
    return _with_column(left * scale, np.sqrt(2.0)), _with_column(right * scale, -np.sqrt(2.0))


def log_pmi(counts: sp.csr_array, noise: np.ndarray, damping: float) -> sp.csr_array:
    """max(0, log(n_ij / (n_i p_j))) n_i / (n_i + damping) at the pairs of `counts`, float32.

    The log PMI of a rare center is large and mostly chance: its few pairs all look surprising.
    """
    mass = counts.sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore"):  # a row or column without pairs is never looked up
        log_mass, log_noise = (np.log(part).astype(np.float32) for part in (mass, noise))
    weight = (mass / np.maximum(mass + damping, np.finfo(np.float64).tiny)).astype(np.float32)
    rows = row_of_each(counts)
    values = np.log(counts.data) - log_mass[rows] - log_noise[counts.indices]
    values = np.maximum(values, 0.0) * weight[rows]
    return sp.csr_array((values, counts.indices, counts.indptr), shape=counts.shape)


def truncated_svd(
    matrix: sp.csr_array, rank: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `rank` largest singular triplets, nearly, as float32.

    Each round multiplies by the matrix and its transpose and makes the columns orthonormal again,
    by Cholesky: two passes over a thin matrix where a Householder QR needs many.

    Returns:
        U (V_row, rank), s (rank,) and V (V_col, rank); 0 past the rank that the matrix can have.

    Source: Halko, Martinsson and Tropp (2011), algorithms 4.4 and 5.1.
    """
    rows, cols = dimensions(matrix)
    width = min(rank + OVERSAMPLING, rows, cols)
    basis = rng.standard_normal((cols, width), dtype=np.float32)
    transposed = matrix.T.tocsr()
    sample = orthonormal(matrix @ basis)
    for _ in range(POWER_ROUNDS):
        sample = orthonormal(matrix @ orthonormal(transposed @ sample))
    sample = orthonormal(sample)
    image = transposed @ sample
    energy, turn = np.linalg.eigh((image.T @ image).astype(np.float64))
    largest = slice(None, -1 - min(rank, width), -1)  # eigh sorts upwards
    turn = turn[:, largest].astype(np.float32)
    singular = np.sqrt(np.maximum(energy[largest], 0.0)).astype(np.float32)
    left = sample @ turn
    # the sign of a singular vector is free: without a rule, rounding would choose it
    turn, left = (part * np.where(left.sum(axis=0) < 0, -1, 1).astype(np.float32) for part in (turn, left))
    right = image @ turn / np.maximum(singular, np.finfo(np.float32).tiny)
    return _widened(left, rank), _widened(singular, rank), _widened(right, rank)


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """A nearly orthonormal basis of (V, D) float32 `columns` by Cholesky QR; a second call mends it."""
    gram = (columns.T @ columns).astype(np.float64)
    # a rank-deficient sample must not stop the Cholesky; its surplus columns become tiny
    gram[np.diag_indices_from(gram)] += 1e-6 * np.trace(gram) / len(gram) + 1e-30
    inverse = np.linalg.inv(np.linalg.cholesky(gram, upper=True))
    return columns @ inverse.astype(np.float32)


def _with_column(factors: np.ndarray, value: float) -> np.ndarray:
    return np.pad(factors, ((0, 0), (0, 1)), constant_values=value).astype(np.float32)


def _widened(part: np.ndarray, rank: int) -> np.ndarray:
    missing = [(0, 0)] * (part.ndim - 1) + [(0, rank - part.shape[-1])]
    return np.pad(part, missing)
