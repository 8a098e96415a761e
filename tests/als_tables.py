"""A table whose rows have every length, for the tests of ALS."""

import numpy as np
from contracts import vocabulary

from embedding_assets.records import PairTable


def skewed_table(rng: np.random.Generator, rows: int = 90, columns: int = 41, pairs: int = 900) -> PairTable:
    """Row lengths from none to all columns, so that every class of rows occurs; with many columns the long ones too."""
    chance = np.outer(1 / (1 + np.arange(rows)), np.ones(columns))
    chance[-5:] = 0
    cells = np.sort(rng.choice(rows * columns, pairs, replace=False, p=chance.ravel() / chance.sum()))
    return PairTable(
        rows=vocabulary("user", np.ones(rows)),
        columns=vocabulary("site", np.ones(columns)),
        row_ids=(cells // columns).astype(np.int32),
        col_ids=(cells % columns).astype(np.int32),
        counts=rng.integers(1, 5, pairs).astype(np.float32),
    )


def long_table() -> PairTable:
    """Rows longer than a chunk of 128 slots, and such that four devices cannot share evenly."""
    return skewed_table(np.random.default_rng(0), 70, 401, 2500)
