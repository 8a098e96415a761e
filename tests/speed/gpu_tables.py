"""Synthetic tables with power-law degrees and planted communities, made on the fly with numpy alone."""

from typing import Any

import numpy as np

from embedding_assets.records import PairTable, Vocabulary

#: Degrees fall like (rank + OFFSET) ** -EXPONENT.
EXPONENT, OFFSET = 0.8, 10.0
COMMUNITIES = 50


def power_law_table(rows: int, columns: int, pairs: int, seed: int = 0) -> PairTable:
    """Nearly `pairs` different pairs, in (row, column) order; half of the draws stay within a community.

    Ids of one community are those of equal id % 50. A pair that is drawn more than once counts more.
    """
    rng = np.random.default_rng(seed)
    draws = pairs * 5 // 4
    row, col = power_law_ids(rows, draws, rng), power_law_ids(columns, draws, rng)
    inside = rng.random(draws) < 0.5
    moved = col - col % COMMUNITIES + row % COMMUNITIES
    col = np.where(inside & (moved < columns), moved, col)
    codes, counts = np.unique(row * columns + col, return_counts=True)
    if len(codes) > pairs:
        kept = np.sort(rng.choice(len(codes), pairs, replace=False))
        codes, counts = codes[kept], counts[kept]
    row_ids, col_ids = np.divmod(codes, columns)
    return PairTable(
        rows=_vocabulary("user", np.bincount(row_ids, counts, rows)),
        columns=_vocabulary("producer", np.bincount(col_ids, counts, columns)),
        row_ids=row_ids.astype(np.int32),
        col_ids=col_ids.astype(np.int32),
        counts=counts.astype(np.float32),
    )


def power_law_ids(size: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """(draws,) int64 in [0, size), by the inverse of the distribution function."""
    power = 1.0 - EXPONENT
    low, high = OFFSET**power, (OFFSET + size) ** power
    ranks = (low + (high - low) * rng.random(draws)) ** (1.0 / power) - OFFSET
    return np.clip(ranks.astype(np.int64), 0, size - 1)


def _vocabulary(entity: str, counts: np.ndarray) -> Vocabulary:
    keys: Any = range(len(counts))  # trainers look at keys only for a warm start; real ones would need pyarrow
    return Vocabulary(entity=entity, keys=keys, counts=counts)
