"""Pairs kept from training, and what they say after each epoch: when it was best, and when to stop.

Sizes: V_row centers, V_col contexts, D width of a vector.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from embedding_assets.trainers.errors import InvalidPairTable
from embedding_assets.trainers.matrix import row_of_each

#: Centers whose unseen pairs are looked at exactly; drawn once, so epochs are compared on the same ones.
SAMPLED_CENTERS = 512
_BLOCK_NUMBERS = 1 << 22

BEST_CENTERS, BEST_CONTEXTS, LOSSES = "best_centers", "best_contexts", "held_out_losses"


def split(
    counts: sp.csr_array, share: float, rng: np.random.Generator, *, mirrored: bool
) -> tuple[sp.csr_array, sp.csr_array]:
    """Draw `share` of the occurrences of all pairs; the rest, and what was drawn, add up to `counts`.

    A count of n is taken for ceil(n) occurrences of equal weight, each drawn by itself, as if the corpus had been
    split. In a `mirrored` table (i, j) and (j, i) are the same occurrences, and are drawn together.

    Raises:
        InvalidPairTable: the table is so small that nothing is drawn, or nothing is left.
    """
    drawn = counts.copy()
    trials = np.ceil(counts.data)
    hits = rng.binomial(trials.astype(np.int64), share)
    drawn.data = np.where(hits == trials, counts.data, counts.data * (hits / trials)).astype(np.float32)
    if mirrored:
        upper = sp.triu(drawn, format="csr")
        drawn = sp.csr_array(upper + sp.triu(upper, k=1).T)
    kept = sp.csr_array(counts - drawn)
    for part in (kept, drawn):
        part.eliminate_zeros()
        part.sort_indices()
        if not part.nnz:
            raise InvalidPairTable(f"holding out {share} of {counts.nnz} pairs leaves one part empty; widen the window")
    return kept, drawn


class HeldOut:
    """The loss of vectors on pairs that they were not trained on, in the unit of the training loss."""

    def __init__(self, pairs: sp.csr_array, noise: np.ndarray, rng: np.random.Generator) -> None:
        """Keep what is compared with.

        Args:
            pairs: (V_row, V_col) float32, held-out counts; at least one.
            noise: (V_col,) float64, negatives times the chance of each column to be drawn.
            rng: draws the centers whose negatives are looked at, each by its mass.
        """
        mass = pairs.sum(axis=1, dtype=np.float64)
        self._centers = rng.choice(len(mass), SAMPLED_CENTERS, p=mass / mass.sum())
        self._pairs, self._rows, self._noise = pairs, row_of_each(pairs), noise.astype(np.float32)

    def loss(self, centers: np.ndarray, contexts: np.ndarray) -> float:
        """Of (V_row, D) centers and (V_col, D) contexts, float32: a mean over the held-out mass.

        Positive pairs are all looked at; the expectation over negatives is exact for 512 drawn centers.
        """
        return self._of_pairs(centers, contexts) + self._of_negatives(centers, contexts)

    def _of_pairs(self, centers: np.ndarray, contexts: np.ndarray) -> float:
        total, step = 0.0, _BLOCK_NUMBERS // centers.shape[1] or 1
        for at in range(0, self._pairs.nnz, step):
            part = slice(at, at + step)
            scores = np.einsum("nd,nd->n", centers[self._rows[part]], contexts[self._pairs.indices[part]])
            total += float(softplus(-scores) @ self._pairs.data[part].astype(np.float64))
        return total / float(self._pairs.data.sum(dtype=np.float64))

    def _of_negatives(self, centers: np.ndarray, contexts: np.ndarray) -> float:
        total, step = 0.0, _BLOCK_NUMBERS // len(contexts) or 1
        for at in range(0, len(self._centers), step):
            scores = centers[self._centers[at : at + step]] @ contexts.T
            total += float((softplus(scores) @ self._noise).sum(dtype=np.float64))
        return total / len(self._centers)


def softplus(scores: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)), without overflow."""
    return np.maximum(scores, 0) + np.log1p(np.exp(-np.abs(scores)))


class Seen(NamedTuple):
    """What held-out pairs have said so far; all of it goes into a checkpoint.

    Attributes:
        losses: after each epoch; empty where nothing is held out.
        best: centers and contexts after the best epoch; None before the first.
    """

    losses: tuple[float, ...] = ()
    best: tuple[np.ndarray, np.ndarray] | None = None

    def after(self, loss: float, vectors: tuple[np.ndarray, np.ndarray]) -> "Seen":
        """With one more epoch; of equal ones the first is best."""
        best = vectors if not self.losses or loss < min(self.losses) else self.best
        return Seen((*self.losses, loss), best)

    def best_epoch(self) -> int:
        """Counted from 1; 0 before the first."""
        return self.losses.index(min(self.losses)) + 1 if self.losses else 0

    def epochs_since_best(self) -> int:
        """How many epochs in a row brought nothing."""
        return len(self.losses) - self.best_epoch()

    def metrics(self) -> dict[str, float]:
        """For `TrainResult.metrics`; empty where nothing is held out."""
        if not self.losses:
            return {}
        return {"held_out_loss": min(self.losses), "best_epoch": float(self.best_epoch())}

    def curve(self) -> dict[str, np.ndarray]:
        """For `TrainResult.extras`: (epochs,) float64, the held-out loss after each."""
        return {LOSSES: np.array(self.losses)} if self.losses else {}

    def arrays(self) -> dict[str, np.ndarray]:
        """As a checkpoint keeps it."""
        if self.best is None:
            return {}
        return {**self.curve(), BEST_CENTERS: self.best[0], BEST_CONTEXTS: self.best[1]}


def seen_in(arrays: dict[str, np.ndarray]) -> Seen:
    """What `Seen.arrays` gave, taken out of a checkpoint's arrays."""
    if LOSSES not in arrays:
        return Seen()
    losses, *best = (arrays.pop(name) for name in (LOSSES, BEST_CENTERS, BEST_CONTEXTS))
    return Seen(tuple(losses.tolist()), (best[0], best[1]))
