"""A pair table goes in, the same counts come out as a checked sparse matrix: every trainer's start."""

from typing import cast

import numpy as np
import scipy.sparse as sp

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.trainers.errors import InvalidPairTable


def as_matrix(table: PairTable, *, least_rows: int = 2) -> sp.csr_array:
    """Counts as (V_row, V_col) float32 CSR with sorted columns, whatever order the pairs came in.

    The counts are copied; ids are shared with the table where it is already in (row, column) order.

    Raises:
        InvalidPairTable: no pairs, fewer than two columns or `least_rows` rows, an id outside its vocabulary,
            a count that is not finite and positive, or a pair that is there twice.
    """
    _check_sizes(table, least_rows)
    rows = _checked_ids("row_ids", table.row_ids, table.rows)
    cols = _checked_ids("col_ids", table.col_ids, table.columns)
    counts = _checked_counts(table.counts)
    codes = rows.astype(np.int64) * len(table.columns) + cols
    if not np.all(codes[1:] > codes[:-1]):
        order = np.argsort(codes, kind="stable")
        _check_unique(codes[order], len(table.columns))
        rows, cols, counts = rows[order], cols[order], counts[order]
    per_row = np.bincount(rows, minlength=len(table.rows))
    starts = np.concatenate([[0], np.cumsum(per_row)]).astype(np.int32)
    return sp.csr_array((counts, cols, starts), shape=table.shape)


def dimensions(counts: sp.csr_array) -> tuple[int, int]:
    """(V_row, V_col), typed; scipy's own property is not."""
    rows, cols = cast("tuple[int, int]", counts.shape)
    return rows, cols


def row_of_each(counts: sp.csr_array) -> np.ndarray:
    """(N,) int64, the row of every stored count."""
    return np.repeat(np.arange(len(counts.indptr) - 1), np.diff(counts.indptr))


def _check_sizes(table: PairTable, least_rows: int) -> None:
    for name, vocabulary, least in (("rows", table.rows, least_rows), ("columns", table.columns, 2)):
        if len(vocabulary) < least:
            raise InvalidPairTable(
                f"PairTable.{name} holds {len(vocabulary)} {vocabulary.entity!r}; at least {least} are needed"
            )
    if not len(table):
        raise InvalidPairTable(
            f"PairTable has no pairs ({len(table.rows)} rows, {len(table.columns)} columns); "
            "widen the window or lower the minimum count"
        )


def _checked_ids(field: str, ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    if not np.issubdtype(ids.dtype, np.integer):
        raise InvalidPairTable(f"PairTable.{field} must be integers, got {ids.dtype}")
    outside = np.flatnonzero((ids < 0) | (ids >= len(vocabulary)))
    if len(outside):
        at = outside[0]
        raise InvalidPairTable(
            f"PairTable.{field}[{at}] is {ids[at]}, outside the vocabulary of {len(vocabulary)} "
            f"{vocabulary.entity!r} ({len(outside)} such ids)"
        )
    return ids.astype(np.int32, copy=False)


def _checked_counts(counts: np.ndarray) -> np.ndarray:
    """A float32 copy, or the first offending count by place and value."""
    with np.errstate(over="ignore"):
        narrow = counts.astype(np.float32)  # a float64 over 3e38 becomes infinite and is refused
    bad = np.flatnonzero(~(np.isfinite(narrow) & (narrow > 0)))
    if len(bad):
        at = bad[0]
        raise InvalidPairTable(
            f"PairTable.counts[{at}] is {counts[at]}; every count must be finite and above 0 "
            f"({len(bad)} are not); leave uncounted pairs out of the table"
        )
    return narrow


def _check_unique(codes: np.ndarray, columns: int) -> None:
    twice = np.flatnonzero(codes[1:] == codes[:-1])
    if len(twice):
        row, col = divmod(int(codes[twice[0]]), columns)
        raise InvalidPairTable(
            f"PairTable has the pair row_ids={row}, col_ids={col} more than once "
            f"({len(twice)} repeats); sum the counts first"
        )
