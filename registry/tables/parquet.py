"""The interchange side of a version: one Parquet file of key, vector and attributes.

Parquet is loaded by the first call only: who reads vectors from the mapped table never pays for it.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from registry.errors import InvalidEmbedding

_ROW_GROUP = 8192


def as_table(keys: pa.StringArray, values: np.ndarray, attributes: pa.Table | None) -> pa.Table:
    """N rows of key, vector (FixedSizeList<float32>) and attributes; the (N, D) values are not copied."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    columns = {"key": keys, "vector": vectors}
    if attributes is not None:
        columns |= dict(zip(attributes.column_names, attributes.columns, strict=True))
    return pa.table(columns)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write what `as_table` made; no dictionary and no compression on floats that never repeat.

    Raises:
        InvalidEmbedding: an attribute has a type that Parquet lacks.
    """
    import pyarrow.parquet as pq

    attributes = table.column_names[2:]
    packing = {"key": "zstd", "vector.list.element": "none"} | dict.fromkeys(attributes, "zstd")
    options: dict[str, Any] = {"use_dictionary": attributes, "compression": packing}
    try:
        pq.write_table(table, path, row_group_size=_ROW_GROUP, **options)
    except pa.ArrowNotImplementedError as error:
        types = ", ".join(f"{name}: {table.schema.field(name).type}" for name in attributes)
        raise InvalidEmbedding(f"attributes ({types}) cannot be written as Parquet: {error}") from error


def read_attributes(path: Path, names: list[str]) -> pa.Table:
    """N rows of the named columns; neither keys nor vectors are read."""
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=names)
