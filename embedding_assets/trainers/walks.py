"""How often random walks over a graph see one id after another, in expectation: edges in, counted pairs out.

P[i, j] is the chance to step from source i to destination j, and P^r[i, j] that of being at j after r steps. If walks
visit i with at least r more steps to go c[i] times, they see j exactly r steps later c[i] P^r[i, j] times. Powers fill
up fast, and nearly all of it is small: what is below a bound goes, row by row, before the next power.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.trainers.matrix import as_matrix, dimensions, row_of_each

#: Rows whose powers a thread has in memory at a time.
ROWS = 1024


def expected_walks(table: PairTable, *, reach: int, length: int, walks: int, smallest: float) -> PairTable:
    """Expected counts of (center, context at most `reach` steps later) over walks from every source.

    Args:
        table: edges from rows to columns; keys that are on both sides are one id. Counts say how often one is taken.
        reach: R >= 1; a context r steps on counts (R - r + 1) / R, as word2vec's window does on average.
        length: ids in a walk; more than R.
        walks: how many start at each row.
        smallest: lower bound of c[i] P^r[i, j]; what is below it is left out.

    Returns:
        The same vocabularies, pairs sorted by (row, column), all edges among them. The two sides are never one object:
        where edges go one way, or small counts were left out, the table is not its transpose.

    Raises:
        InvalidPairTable: the table is empty, too small, or has impossible ids or counts.

    Source: Qiu et al. 2018, "Network Embedding as Matrix Factorization", theorem 2.1, for walks of finite length.
    """
    steps = _chances(as_matrix(table))
    passing = _same_key(table.columns, table.rows)
    centers = walks * _visits(steps, passing, reach=reach, length=length)
    onward = sp.csr_array(passing @ steps)

    def block(start: int) -> sp.csr_array:
        rows = slice(start, start + ROWS)
        return _block(steps[rows], onward, centers[:, rows], smallest)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # scipy multiplies without holding the interpreter's lock
        blocks = list(pool.map(block, range(0, len(table.rows), ROWS)))
    counts = sp.csr_array(sp.vstack(blocks, format="csr"))
    counts.sort_indices()
    return PairTable(
        rows=table.rows,
        columns=replace(table.columns),
        row_ids=row_of_each(counts).astype(np.int32),
        col_ids=counts.indices.astype(np.int32),
        counts=counts.data.astype(np.float32),
    )


def _chances(counts: sp.csr_array) -> sp.csr_array:
    """(V_row, V_col) float64, each row with edges summing to 1."""
    sums = counts.sum(axis=1, dtype=np.float64)
    return sp.csr_array((counts.data / sums[row_of_each(counts)], counts.indices, counts.indptr), counts.shape)


def _same_key(columns: Vocabulary, rows: Vocabulary) -> sp.csr_array:
    """(V_col, V_row) with a 1 where a column and a row are one id: where a walk that arrives goes on from."""
    import pyarrow.compute as pc  # only who walks pays for it

    places = pc.index_in(columns.keys, value_set=rows.keys)  # pyright: ignore[reportAttributeAccessIssue] - made when pyarrow is imported
    at = places.fill_null(-1).to_numpy(zero_copy_only=False)
    known = np.flatnonzero(at >= 0) if columns.entity == rows.entity else np.empty(0, np.int64)
    return sp.csr_array((np.ones(len(known)), (known, at[known])), shape=(len(columns), len(rows)))


def _visits(steps: sp.csr_array, passing: sp.csr_array, *, reach: int, length: int) -> np.ndarray:
    """(R, V_row) float64: visits of each row, for one walk from every row, that have r = 1 .. R ids after them.

    Walks that end early are not waited for: a visit counts, the step that it cannot take does not.
    """
    here = np.ones(dimensions(steps)[0])
    so_far, found = np.zeros_like(here), []
    for place in range(length - 1):
        so_far = so_far + here
        if place >= length - 1 - reach:
            found.append(so_far)
        here = (here @ steps) @ passing
    return np.stack(found[::-1])


def _block(steps: sp.csr_array, onward: sp.csr_array, centers: np.ndarray, smallest: float) -> sp.csr_array:
    """The rows of `steps`, all R powers summed; the first is kept whole, so that no id loses its edges."""
    reach = len(centers)
    power, total = steps, _scaled(steps, centers[0])
    for r in range(1, reach):
        power = _at_least(sp.csr_array(power @ onward), centers[r], smallest)
        total = total + _scaled(power, centers[r] * ((reach - r) / reach))
    return sp.csr_array(total)


def _at_least(power: sp.csr_array, centers: np.ndarray, smallest: float) -> sp.csr_array:
    """Entries whose expected count reaches `smallest`."""
    rows = row_of_each(power)
    kept = power.data * centers[rows] >= smallest
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=len(centers)))])
    return sp.csr_array((power.data[kept], power.indices[kept], starts), shape=power.shape)


def _scaled(power: sp.csr_array, by_row: np.ndarray) -> sp.csr_array:
    return sp.csr_array((power.data * by_row[row_of_each(power)], power.indices, power.indptr), shape=power.shape)
