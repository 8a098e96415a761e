"""Exact t-SNE for some hundred vectors: in plain numpy, since scikit-learn's start-up and loop took ten times as long.

Sizes: N vectors, D dimensions. Source: van der Maaten and Hinton, Visualizing Data using t-SNE, 2008.
"""

import numpy as np

PERPLEXITY = 15.0  # how many neighbours count
STEPS, EXAGGERATED_STEPS = 300, 100
EXAGGERATION = 12.0
#: The loop starts this small, so that all points first feel all others.
START = 1e-4
_BISECTIONS = 50
_TINY = 1e-30


def similarity_plane(unit: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(N, 2) places that keep neighbours near; the same rows and start, the same places.

    Args:
        unit: (N, D) rows of length 1.
        start: (N, 2) where the points begin, up to scale; principal components do well.
    """
    wanted = affinities(np.maximum(2 - 2 * unit.astype(np.float64) @ unit.T, 0), min(PERPLEXITY, (len(unit) - 1) / 3))
    places = start / max(float(start[:, 0].std()), _TINY) * START
    places = _descend(wanted * EXAGGERATION, places, steps=EXAGGERATED_STEPS, momentum=0.5)
    return _descend(wanted, places, steps=STEPS - EXAGGERATED_STEPS, momentum=0.8).astype(np.float32)


def _descend(wanted: np.ndarray, places: np.ndarray, steps: int, momentum: float) -> np.ndarray:
    """Gradient steps with a gain for each coordinate: more where the direction holds, less where it turns."""
    speed, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(len(places) / EXAGGERATION / 4, 50.0)
    for _ in range(steps):
        slope = _slope(wanted, places)
        gains = np.maximum(np.where(slope * speed < 0, gains + 0.2, gains * 0.8), 0.01)
        speed = momentum * speed - rate * gains * slope
        places = places + speed
    return places


def affinities(squared: np.ndarray, perplexity: float) -> np.ndarray:
    """(N, N) symmetric chances, sum 1, from squared distances: each row's entropy is log(perplexity) (eq. 1)."""
    count = len(squared)
    low, high, sharpness = np.zeros(count), np.full(count, np.inf), np.ones(count)
    for _ in range(_BISECTIONS):
        chances = _chances(squared, sharpness)
        entropy = -(chances * np.log(np.maximum(chances, _TINY))).sum(axis=1)
        flat = entropy > np.log(perplexity)
        low, high = np.where(flat, sharpness, low), np.where(flat, high, sharpness)
        sharpness = np.where(np.isinf(high), 2 * low, (low + np.where(np.isinf(high), 0, high)) / 2)
    chances = _chances(squared, sharpness)
    return (chances + chances.T) / (2 * count)


def _chances(squared: np.ndarray, sharpness: np.ndarray) -> np.ndarray:
    """(N, N) rows of sum 1 that fall with the distance, 0 on the diagonal."""
    away = np.where(np.eye(len(squared), dtype=bool), np.inf, squared)
    # relative to the nearest other: no row is all zeros, however sharp
    chances = np.exp((away.min(axis=1, keepdims=True) - away) * sharpness[:, None])
    return chances / chances.sum(axis=1, keepdims=True)


def _slope(wanted: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 2) gradient of the divergence (eq. 5)."""
    lengths = (places**2).sum(axis=1)
    near = 1 / (1 + np.maximum(lengths[:, None] + lengths - 2 * places @ places.T, 0))
    np.fill_diagonal(near, 0)
    pull = (wanted - near / near.sum()) * near
    return 4 * (pull.sum(axis=1)[:, None] * places - pull @ places)
