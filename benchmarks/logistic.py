"""Many logistic regressions on the same rows at once: a probe asks the same vectors a hundred questions.

Each has its own labels and its own training rows. The answers are those of scikit-learn's
`make_pipeline(StandardScaler(), LogisticRegression(C=1))`, in a quarter of its time: all problems share
each product with the features. Sizes: N rows, D features, P problems.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

#: Cells (row, problem) worked on at once; 2**20 float64 are 8 MB.
CELLS = 2**20
ROUNDS, INNER = 50, 12
#: Newton decrement at which a fit ends: the root mean square change of a decision is then under 0.001 at N = 1000.
ENOUGH = 1e-4


def decisions(features: np.ndarray, positive: np.ndarray, training: np.ndarray, *, c: float = 1.0) -> np.ndarray:
    """(N, P) float64 decision function of every problem on every row, its test rows included.

    Args:
        features: (N, D) real; each problem standardises them by its own training rows.
        positive: (N, P) bool labels.
        training: (N, P) bool, the rows that a problem learns from; both labels must be among them.
        c: inverse strength of the L2 penalty on the standardised weights.
    """
    from threadpoolctl import threadpool_limits  # of scikit-learn

    # A second thread gains a tenth at 2,000 rows, and costs many times that where all cores are busy.
    with threadpool_limits(1, user_api="blas"):
        return _decisions(features, positive, training, c)


def _decisions(features: np.ndarray, positive: np.ndarray, training: np.ndarray, c: float) -> np.ndarray:
    rows = _with_intercept(_standardised(features.astype(np.float64)))
    found = np.empty(positive.shape)
    step = max(1, CELLS // max(1, len(rows)))
    for start in range(0, positive.shape[1], step):
        part = slice(start, start + step)
        found[:, part] = rows @ _Problems.of(rows, positive[:, part], training[:, part], c).fit()
    return found


def _standardised(features: np.ndarray) -> np.ndarray:
    """Columns of mean 0 and deviation 1; a constant one becomes 0. Only keeps the numbers tame."""
    centered = features - features.mean(axis=0)
    scale = centered.std(axis=0)
    return np.divide(centered, scale, out=np.zeros_like(centered), where=scale > 1e-12 * np.abs(features).max(axis=0))


def _with_intercept(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, np.ones((len(features), 1))], axis=1)


@dataclass(frozen=True, eq=False)
class _Problems:
    """P convex problems in D + 1 weights, the last one the intercept, which is not penalised.

    Attributes:
        rows: (N, D + 1) features.
        labels: (N, P) 0 or 1.
        counted: (N, P) 1 for training rows, else 0.
        penalty: (D + 1, P): weighing a feature's weight by its training variance is standardising it.
    """

    rows: np.ndarray
    labels: np.ndarray
    counted: np.ndarray
    penalty: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, positive: np.ndarray, training: np.ndarray, c: float) -> "_Problems":
        counted = training.astype(np.float64)
        count = counted.sum(axis=0)
        variance = (rows**2).T @ counted / count - (rows.T @ counted / count) ** 2
        penalty = np.where(variance > 1e-12, variance, 1.0) / c  # scikit-learn, too, leaves a constant column as it is
        penalty[-1] = 0.0
        return cls(rows, positive.astype(np.float64), counted, penalty)

    def fit(self) -> np.ndarray:
        """(D + 1, P) weights by Newton's method, each step by conjugate gradients, halved while it does not help."""
        weights = np.zeros_like(self.penalty)
        decided = np.zeros_like(self.labels)
        loss = self.loss(decided, weights)
        for _ in range(ROUNDS):
            chance = 1.0 / (1.0 + np.exp(-np.clip(decided, -500, 500)))
            gradient = self.rows.T @ (self.counted * (chance - self.labels)) + self.penalty * weights
            step = self._newton_step(gradient, self.counted * chance * (1.0 - chance))
            if (-(gradient * step).sum(axis=0)).max(initial=0.0) < ENOUGH:
                return weights + step
            ahead = self.rows @ step
            tried = self.loss(decided + ahead, weights + step)
            while (worse := tried > loss + 1e-9 * np.abs(loss)).any():  # ends: the step goes downhill
                shrink = np.where(worse, 0.5, 1.0)
                step, ahead = step * shrink, ahead * shrink
                tried = self.loss(decided + ahead, weights + step)
            weights, decided, loss = weights + step, decided + ahead, tried
        return weights

    def loss(self, decided: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(P,) penalised negative log-likelihood of the training rows."""
        wrong = np.logaddexp(0.0, decided) - self.labels * decided
        return (self.counted * wrong).sum(axis=0) + 0.5 * (self.penalty * weights**2).sum(axis=0)

    def _newton_step(self, gradient: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        """(D + 1, P): about minus the inverse Hessian times the gradient."""
        base, axes = np.linalg.eigh(self.rows.T @ self.rows / len(self.rows))
        eased = 1.0 / (np.maximum(base, 0.0)[:, None] * curvature.sum(axis=0) + 1.0)

        def hessian(direction: np.ndarray) -> np.ndarray:
            return self.rows.T @ (curvature * (self.rows @ direction)) + self.penalty * direction

        return conjugate_gradients(hessian, -gradient, precondition=partial(_precondition, axes, eased))


def _precondition(axes: np.ndarray, eased: np.ndarray, residual: np.ndarray) -> np.ndarray:
    return axes @ (eased * (axes.T @ residual))


def conjugate_gradients(
    hessian: Callable[[np.ndarray], np.ndarray], target: np.ndarray, *, precondition: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """(D, P) approximate solutions of P systems `hessian(x) = target`, to a tenth of their residual.

    Source: Nocedal and Wright, Numerical Optimization, 2006, algorithms 5.3 and 7.1.
    """
    solution, residual = np.zeros_like(target), target
    eased = precondition(residual)
    direction, energy = eased, (residual * eased).sum(axis=0)
    first = energy
    for _ in range(INNER):
        bent = hessian(direction)
        length = _ratio(energy, (direction * bent).sum(axis=0))
        solution = solution + length * direction
        residual = residual - length * bent
        eased = precondition(residual)
        before, energy = energy, (residual * eased).sum(axis=0)
        if (energy <= 1e-2 * first).all():
            break
        direction = eased + _ratio(energy, before) * direction
    return solution


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """0 where a problem is solved already."""
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
