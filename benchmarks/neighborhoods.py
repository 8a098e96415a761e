"""Nearest neighbours by exact cosine, and how much of them two versions share.

Sizes: N keys, D width, Q queries, k neighbours.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyarrow import compute

from registry.judging.align import unit_rows
from registry.reader import Version

#: Similarities held at once; 2**23 float32 are 32 MB, whatever the size of the vocabulary.
CELLS = 2**23


@dataclass(frozen=True, kw_only=True, eq=False)
class Shared:
    """The keys that two versions both have, with their unit vectors in each.

    Attributes:
        keys: (N,) string, in the later version's order.
        before: (N, D_before) float32, unit rows of the earlier version.
        now: (N, D_now) float32, unit rows of the later version.
        matched: how many keys both versions have; more than N where a vector is zero.
        before_size: how many keys the earlier version has.
        now_size: how many keys the later version has.
    """

    keys: pa.Array
    before: np.ndarray
    now: np.ndarray
    matched: int
    before_size: int
    now_size: int

    def __len__(self) -> int:
        return len(self.keys)


def share(before: tuple[pa.Array, np.ndarray], now: tuple[pa.Array, np.ndarray]) -> Shared:
    """Match two tables of (keys, vectors) by key; keys with a zero vector are left out."""
    at = positions(now[0], before[0])
    rows_now = np.flatnonzero(at >= 0)
    rows_before = at[rows_now]
    old, new = unit_rows(before[1][rows_before]), unit_rows(now[1][rows_now])
    usable = old.any(axis=1) & new.any(axis=1)
    return Shared(
        keys=now[0].take(pa.array(rows_now[usable])),
        before=old[usable],
        now=new[usable],
        matched=len(rows_now),
        before_size=len(before[0]),
        now_size=len(now[0]),
    )


def positions(keys: pa.Array, among: pa.Array) -> np.ndarray:
    """(N,) int64 row of each key in `among`, -1 where it is not there."""
    found = compute.call_function("index_in", [keys], compute.SetLookupOptions(value_set=among))
    return found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def share_versions(before: Version, now: Version) -> Shared:
    """Match two versions of one embedding by key."""
    return share(table_of(before), table_of(now))


def table_of(version: Version) -> tuple[pa.Array, np.ndarray]:
    """Keys (N,) string and vectors (N, D) float32 of a version."""
    return version.keys(), version.numpy()


def points_one_way(unit: np.ndarray) -> bool:
    """Whether all unit rows are the same vector, so that no row is nearer than another."""
    return bool(len(unit) == 0 or np.abs(unit - unit[0]).max() < 1e-6)


def nearest(unit: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """(Q, k) int64 rows nearest to each query row by cosine, best first, the row itself left out.

    Args:
        unit: (N, D) float32 unit rows; N must exceed k.
        queries: (Q,) int, rows of `unit`.
        k: how many.
    """
    return nearest_to(unit, unit[queries], queries, k)


def nearest_to(unit: np.ndarray, vectors: np.ndarray, own: np.ndarray, k: int) -> np.ndarray:
    """(Q, k) int64 rows nearest to each of (Q, D) vectors by dot product, best first, its (Q,) own row left out."""
    if not 1 <= k < len(unit):
        raise ValueError(f"k must be between 1 and {len(unit) - 1} (the other rows), got {k}")
    found = np.empty((len(vectors), k), np.int64)
    step = max(1, CELLS // len(unit))
    for start in range(0, len(vectors), step):
        rows = own[start : start + step]
        distance = -vectors[start : start + step] @ unit.T  # cosine, negated: smallest is nearest
        distance[np.arange(len(rows)), rows] = np.inf
        best = np.argpartition(distance, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(distance, best, axis=1), axis=1, kind="stable")
        found[start : start + step] = np.take_along_axis(best, order, axis=1)
    return found


def kept_share(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """(Q,) float64 in [0, 1]: share of each row's k neighbours that the other's row has too."""
    return (before[:, :, None] == now[:, None, :]).any(axis=2).mean(axis=1)


def sample_rows(n: int, limit: int, seed: int) -> np.ndarray:
    """All rows of n, or a seeded sample of `limit` of them without repeats, ascending."""
    if n <= limit:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size=limit, replace=False))
