"""The point-in-time join of published feature sets: keys and moments go in, columns of values come out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: For each asked row, the newest publication that it may see and that holds its key.
AS_OF = """
WITH published AS (
    SELECT source.key, files.ordinal, source.file_row_number AS place
    FROM read_parquet($paths, filename = true, file_row_number = true, union_by_name = true) AS source
    JOIN files ON files.path = source.filename
    WHERE source.key IN (SELECT key FROM asked)
)
SELECT published.ordinal, published.place
FROM asked ASOF LEFT JOIN published ON asked.key = published.key AND asked.seen >= published.ordinal
ORDER BY asked.row
"""


def find_as_of(keys: pa.StringArray, seen: np.ndarray, paths: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Where each key's newest visible value lies.

    Args:
        keys: (Q,) string.
        seen: (Q,) int64, index of the newest publication that the row may see; -1 for none.
        paths: a Parquet file with a column `key` for each publication, oldest first.

    Returns:
        (Q,) int64 index of the publication, -1 for none, and (Q,) int64 row in its file.
    """
    import duckdb

    asked = pa.table({"row": np.arange(len(keys)), "key": keys, "seen": seen})
    files = pa.table({"path": [str(path) for path in paths], "ordinal": np.arange(len(paths))})
    with duckdb.connect(":memory:") as connection:
        connection.register("asked", asked)
        connection.register("files", files)
        found = connection.sql(AS_OF, params={"paths": files["path"].to_pylist()}).to_arrow_table()
    ordinals, places = (np.asarray(pc.fill_null(found[name], -1), np.int64) for name in ("ordinal", "place"))
    return ordinals, places


def gather(paths: Sequence[Path], column: str, ordinals: np.ndarray, places: np.ndarray) -> pa.ChunkedArray:
    """(Q,) values of `column`: row `places[i]` of file `ordinals[i]`, null where that is -1.

    Publications may differ in type, or lack the column; values take the type that holds them all.
    """
    used = np.unique(ordinals[ordinals >= 0])
    parts = [_read(paths[ordinal], column) for ordinal in used]
    if not parts:
        return pa.chunked_array([pa.nulls(len(ordinals), _newest_type(paths, column))])
    starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    at = starts[np.minimum(np.searchsorted(used, ordinals), len(used) - 1)] + places
    together = pa.concat_tables([pa.table({column: part}) for part in parts], promote_options="permissive")
    return together[column].take(pa.array(at, mask=ordinals < 0))


def means_seen(paths: Sequence[Path], column: str, seen: np.ndarray) -> pa.Array:
    """(Q,) float64 mean of `column` over all entities of the publication that each row may see; null for none."""
    used = np.unique(seen[seen >= 0])
    means = pa.array(
        [pc.call_function("mean", [_read(paths[ordinal], column)]).as_py() for ordinal in used], pa.float64()
    )
    return means.take(pa.array(np.searchsorted(used, seen), mask=seen < 0))


def _newest_type(paths: Sequence[Path], column: str) -> pa.DataType:
    import pyarrow.parquet as pq

    schemas = (pq.read_schema(path) for path in reversed(paths))
    return next(schema.field(column).type for schema in schemas if column in schema.names)


def _read(path: Path, column: str) -> pa.ChunkedArray:
    import pyarrow.parquet as pq

    if column not in pq.read_schema(path).names:
        return pa.chunked_array([pa.nulls(pq.read_metadata(path).num_rows)])
    return pq.read_table(path, columns=[column])[column]
