"""How well an index answers at which effort, measured once, at publish."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from registry.records import Metric
from registry.search.scan import Vectors, scan

CALIBRATED_K = 10
_SAMPLE = 128  # queries
_ENOUGH = 0.995  # recall at which it stops
_SEED = 1

#: (effort, recall@10 against an exact scan), rising.
Calibration = tuple[tuple[int, float], ...]


class Index(Protocol):
    """Something that finds rows near a query without looking at all of them."""

    def candidates(self, queries: np.ndarray, count: int, effort: int) -> np.ndarray:
        """(Q, count) int64 rows that are probably near each of the (Q, D) queries; -1 where too few were found."""
        ...


def calibrate(index: Index, vectors: Vectors, metric: Metric, efforts: Iterable[int]) -> Calibration:
    """Ask for the neighbours of 128 seeded rows, at each of the rising efforts, until nearly all are found."""
    k = min(CALIBRATED_K, len(vectors) - 1)
    if k < 1:
        return ()
    sample = np.sort(np.random.default_rng(_SEED).permutation(len(vectors))[:_SAMPLE])
    queries = vectors.values[sample]
    truth, _ = scan(vectors, queries, k, metric, exclude=sample)
    measured: list[tuple[int, float]] = []
    for effort in efforts:
        found = index.candidates(queries, k + 1, effort)
        found[found == sample[:, None]] = -1
        hits = (found[:, :, None] == truth[:, None, :]).sum()
        measured.append((effort, float(hits / truth.size)))
        if measured[-1][1] >= _ENOUGH:
            break
    return tuple(measured)
