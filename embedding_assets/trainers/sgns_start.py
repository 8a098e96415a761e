"""The vectors that SGNS begins from: a factorisation, chance, or an earlier run's with new keys folded in."""

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.matrix import dimensions
from embedding_assets.trainers.spectral import Start, spectral_start
from embedding_assets.trainers.warm import Known
from embedding_assets.trainers.way import Work
from embedding_assets.trainers.weights import log_pmi

#: Score of a pair that was never seen, as `spectral_start` has it.
UNSEEN = -2.0
#: Ridge of the fold-in, as a share of the mean energy of a direction.
RIDGE = 1e-2


def first_vectors(
    work: Work, known: tuple[Known, Known] | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(V_row, D) and (V_col, D) float32 to begin from; `known` are earlier vectors of both sides."""
    if known is not None and all(side.known.any() for side in known):
        return folded_in(work, *known)
    settings = work.settings
    if settings.start == "spectral":
        return spectral_start(work.counts, work.chances, Start(settings.dim, settings.damping), rng, work.device)
    centers, contexts = (
        rng.standard_normal((n, settings.dim), dtype=np.float32) / settings.dim for n in dimensions(work.counts)
    )
    return centers, contexts


def folded_in(work: Work, rows: Known, columns: Known) -> tuple[np.ndarray, np.ndarray]:
    """Earlier vectors, and for new keys the ones whose scores with them are nearest to the spectral start's.

    New centers are fitted to the known contexts, then new contexts to all centers; so all lie in the earlier run's
    space, and no factorisation is needed.
    """
    scores = log_pmi(work.counts, work.chances, work.settings.damping)
    scores.data *= 0.5
    centers, contexts = rows.vectors.copy(), columns.vectors.copy()
    fresh = ~rows.known
    centers[fresh] = fitted(scores[fresh][:, columns.known], contexts[columns.known])
    fresh = ~columns.known
    contexts[fresh] = fitted(scores[:, fresh].T.tocsr(), centers)
    return centers, contexts


def fitted(scores: sp.csr_array, others: np.ndarray) -> np.ndarray:
    """(N, D) float32 vectors whose products with (M, D) `others` are nearly (N, M) `scores` + `UNSEEN`.

    Ridge regression; a key without pairs gets what gives everything the score of an unseen pair.
    """
    wide = others.astype(np.float64)
    energy = wide.T @ wide
    energy[np.diag_indices_from(energy)] += RIDGE * np.trace(energy) / len(energy) + 1e-30
    right = scores @ wide + UNSEEN * wide.sum(axis=0)
    return np.linalg.solve(energy, right.T).T.astype(np.float32)
