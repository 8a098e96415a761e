"""From (source, destination, weight) triples to the table that trainers take."""

import numpy as np
import pyarrow as pa

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.tables.errors import InvalidTriples

Keys = pa.Array | pa.ChunkedArray | list[str]


def affinity_table(
    sources: Keys, destinations: Keys, weights: np.ndarray | None = None, *, rows: str, columns: str
) -> PairTable:
    """The weights of equal pairs summed; ids in the order in which keys first occur.

    >>> affinity_table(["ann", "bob", "ann"], ["jax", "jax", "jax"], rows="user", columns="word").counts.tolist()
    [2.0, 1.0]

    Args:
        sources: (N,) keys of the rows.
        destinations: (N,) keys of the columns.
        weights: (N,) numbers above 0; None counts each triple once.
        rows: entity type of the sources.
        columns: entity type of the destinations; if it is that of the rows, the two sides still have ids of their own.

    Raises:
        InvalidTriples: the three differ in length, a key is null, or a weight is not finite and above 0.
    """
    weight = np.ones(len(sources)) if weights is None else np.asarray(weights, np.float64)
    _check(sources, destinations, weight)
    (row_keys, row_of), (col_keys, col_of) = _encoded(sources), _encoded(destinations)
    pairs, inverse = np.unique(row_of * max(len(col_keys), 1) + col_of, return_inverse=True)
    return PairTable(
        rows=Vocabulary(entity=rows, keys=row_keys, counts=np.bincount(row_of, weight, len(row_keys))),
        columns=Vocabulary(entity=columns, keys=col_keys, counts=np.bincount(col_of, weight, len(col_keys))),
        row_ids=(pairs // max(len(col_keys), 1)).astype(np.int32),
        col_ids=(pairs % max(len(col_keys), 1)).astype(np.int32),
        counts=np.bincount(inverse, weight, len(pairs)).astype(np.float32),
    )


def _check(sources: Keys, destinations: Keys, weights: np.ndarray) -> None:
    sizes = {"sources": len(sources), "destinations": len(destinations), "weights": len(weights)}
    if len(set(sizes.values())) != 1:
        raise InvalidTriples(f"triples differ in length: {sizes}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
    if len(wrong):
        raise InvalidTriples(f"weights[{wrong[0]}] is {weights[wrong[0]]}; a weight is finite and above 0")


def _encoded(keys: Keys) -> tuple[pa.StringArray, np.ndarray]:
    """Distinct keys, and the (N,) int64 place of each key among them."""
    array = pa.array(keys, pa.string()) if isinstance(keys, list) else keys.cast(pa.string())
    if array.null_count:
        raise InvalidTriples(f"{array.null_count} of {len(array)} keys are null; the first in row {_first_null(array)}")
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    encoded = whole.dictionary_encode()
    return encoded.dictionary, np.asarray(encoded.indices, np.int64)


def _first_null(array: pa.Array | pa.ChunkedArray) -> int:
    return int(array.is_null().index(True).as_py())
