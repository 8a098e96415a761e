"""From (source, destination, weight) triples to weekly affinity graphs, and to the table that trainers take."""

import duckdb
import numpy as np
import pyarrow as pa

from embedding_assets.records import PairTable, Vocabulary
from embedding_assets.tables.engine import query
from embedding_assets.tables.errors import InvalidTriples

Keys = pa.Array | pa.ChunkedArray | list[str]

#: One row a (source, destination), sorted by their ids, which are those of `count_vocabulary`; `count` is the sum of
#: the weights, a whole multiple of 2^-24, so that weeks can be summed exactly in any order.
AFFINITIES = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("destination", pa.string()),
        pa.field("row_id", pa.int64()),
        pa.field("col_id", pa.int64()),
        pa.field("count", pa.float64()),
    ]
)
#: One row a key of one side, sorted by id.
SIDE = pa.schema([pa.field("key", pa.string()), pa.field("id", pa.int64()), pa.field("count", pa.float64())])
#: Up to here a double holds a multiple of 2^-24 exactly.
_MOST_WEIGHT = 2.0**29


def sum_triples(con: duckdb.DuckDBPyConnection, triples: pa.Table) -> pa.Table:
    """A week's affinity graph: the weights of equal (source, destination) summed, unpruned.

    Args:
        con: where the query runs; neither its threads nor its memory limit change a byte of the result.
        triples: `source` and `destination` (string), `weight` (number above 0, at most 2^29), in any order.

    Returns:
        The schema `AFFINITIES`; no rows where `triples` has none.

    Raises:
        InvalidTriples: a key is null, or a weight is not finite, not above 0 or too large to be summed exactly.
    """
    for side in ("source", "destination"):
        _refuse_nulls(triples[side])
    weights = triples["weight"].cast(pa.float64())
    if weights.null_count:
        raise InvalidTriples(
            f"{weights.null_count} of {len(weights)} weights are null; the first in {_first_null(weights)}"
        )
    _check_weights(weights.to_numpy(), _MOST_WEIGHT)
    return query(con, "affinities", {"triples": triples}).cast(AFFINITIES)


def source_counts(con: duckdb.DuckDBPyConnection, affinities: pa.Table) -> pa.Table:
    """The sources of a week's graph, each with the sum of its weights, in the schema `SIDE`."""
    return _side_counts(con, affinities, ["source", "row_id", "count"])


def destination_counts(con: duckdb.DuckDBPyConnection, affinities: pa.Table) -> pa.Table:
    """The destinations of a week's graph, each with the sum of its weights, in the schema `SIDE`."""
    return _side_counts(con, affinities, ["destination", "col_id", "count"])


def _side_counts(con: duckdb.DuckDBPyConnection, affinities: pa.Table, columns: list[str]) -> pa.Table:
    side = affinities.select(columns).rename_columns(SIDE.names)
    return query(con, "affinity_side", {"side": side}).cast(SIDE)


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
    _check_weights(weights)


def _check_weights(weights: np.ndarray, most: float = np.finfo(np.float64).max) -> None:
    wrong = np.flatnonzero(~((weights > 0) & (weights <= most)))
    if len(wrong):
        raise InvalidTriples(
            f"weights[{wrong[0]}] is {weights[wrong[0]]}; a weight is finite and above 0, here at most {most:g}"
        )


def _encoded(keys: Keys) -> tuple[pa.StringArray, np.ndarray]:
    """Distinct keys, and the (N,) int64 place of each key among them."""
    array = pa.array(keys, pa.string()) if isinstance(keys, list) else keys.cast(pa.string())
    _refuse_nulls(array)
    whole = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    encoded = whole.dictionary_encode()
    return encoded.dictionary, np.asarray(encoded.indices, np.int64)


def _refuse_nulls(array: pa.Array | pa.ChunkedArray) -> None:
    if array.null_count:
        raise InvalidTriples(f"{array.null_count} of {len(array)} keys are null; the first in row {_first_null(array)}")


def _first_null(array: pa.Array | pa.ChunkedArray) -> int:
    return int(array.is_null().index(True).as_py())
