"""Turn one coordinate system onto another, so that vectors of two training runs can be compared.

A retrain has every reason to turn and mirror all axes; only angles and lengths carry meaning. The
orthogonal map that brings the shared keys closest is the one that adds nothing of its own.
"""

import numpy as np


def rotate_onto(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(D, D) orthogonal matrix R: (N, D) `source @ R` is nearest to `target` in least squares."""
    return nearest_rotation(source.T @ target)


def nearest_rotation(cross: np.ndarray) -> np.ndarray:
    """(D, D) orthogonal matrix R that maximises the trace of Rᵀ `cross`, mirrored axes allowed.

    Args:
        cross: (D, D) sourceᵀ target, which may be summed over blocks of rows.

    Source: Schoenemann, A generalized solution of the orthogonal Procrustes problem, 1966.
    """
    left, _, right = np.linalg.svd(cross)
    return left @ right


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float32 rows of length one; a zero row stays zero, since it has no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros(vectors.shape, np.float32), where=lengths > 0)
