"""What a factorisation sees in place of raw counts: a checked count matrix in, one of weights out, of the same pairs.

All take and give (V_row, V_col) float32 CSR and share the places of the pairs; n_ij is a count, n_i and n_j are the
sums of its row and column, and n is the sum of all.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.matrix import dimensions, row_of_each
from embedding_assets.trainers.svd import WeightName


def weighted(counts: sp.csr_array, name: WeightName) -> sp.csr_array:
    """`counts` under the weights of that name."""
    kinds: dict[str, Callable[[sp.csr_array], sp.csr_array]] = {
        "raw": lambda counts: counts,
        "log": log_counts,
        "tfidf": tfidf,
        "ppmi": ppmi,
    }
    return kinds[name](counts)


def log_counts(counts: sp.csr_array) -> sp.csr_array:
    """log(1 + n_ij)."""
    return _with_values(counts, np.log1p(counts.data))


def tfidf(counts: sp.csr_array) -> sp.csr_array:
    """n_ij (1 + log((1 + V_row) / (1 + V_j))), where V_j rows have column j at all: rare columns weigh more.

    Source: Spärck Jones (1972), smoothed as scikit-learn does it.
    """
    rows, cols = dimensions(counts)
    having = np.bincount(counts.indices, minlength=cols)
    idf = (1.0 + np.log((1 + rows) / (1 + having))).astype(np.float32)
    return _with_values(counts, counts.data * idf[counts.indices])


def ppmi(counts: sp.csr_array) -> sp.csr_array:
    """max(0, log(n_ij n / (n_i n_j))), positive pointwise mutual information.

    Source: Levy and Goldberg (2014).
    """
    mass = counts.sum(axis=0, dtype=np.float64)
    return log_pmi(counts, mass / mass.sum())


def log_pmi(counts: sp.csr_array, chances: np.ndarray, damping: float = 0.0) -> sp.csr_array:
    """max(0, log(n_ij / (n_i p_j))) n_i / (n_i + damping).

    The log PMI of a rare center is large and mostly chance: its few pairs all look surprising.

    Args:
        counts: with positive entries.
        chances: (V_col,) float64, p_j; sums to 1.
        damping: in counts; the log PMI of a center with this many is halved.
    """
    mass = counts.sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore"):  # a row or column without pairs is never looked up
        log_mass, log_chances = (np.log(part).astype(np.float32) for part in (mass, chances))
    share = (mass / np.maximum(mass + damping, np.finfo(np.float64).tiny)).astype(np.float32)
    rows = row_of_each(counts)
    values = np.log(counts.data)
    values -= log_mass[rows]
    values -= log_chances[counts.indices]
    np.maximum(values, 0.0, out=values)
    values *= share[rows]
    return _with_values(counts, values)


def degree_normalized(weights: sp.csr_array) -> sp.csr_array:
    """D_r^-1/2 W D_c^-1/2 with the sums of rows and columns in D: hubs on either side no longer own the spectrum.

    A row or column whose weights are all 0 stays so. The largest singular value is then 1.
    """
    rows, cols = (weights.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
    by_row, by_col = (np.where(sums > 0, sums, 1.0) ** -0.5 for sums in (rows, cols))
    values = weights.data * by_row[row_of_each(weights)]
    values *= by_col[weights.indices]
    return _with_values(weights, values.astype(np.float32))


def _with_values(matrix: sp.csr_array, values: np.ndarray) -> sp.csr_array:
    return sp.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
