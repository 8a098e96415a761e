"""Counts the keys of one week's corpus: which words there are, how often, under which stable id."""

import duckdb
import numpy as np
import pyarrow as pa

from embedding_assets.tables.engine import Relation, query, registered
from embedding_assets.tables.errors import IdCollision

#: One row a key, sorted by id. `id` is the first 60 bits of the key's md5: the same in every week.
VOCABULARY = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("id", pa.int64()),
        pa.field("count", pa.int64()),
        pa.field("conversations", pa.int64()),
    ]
)


def count_vocabulary(con: duckdb.DuckDBPyConnection, corpus: Relation) -> pa.Table:
    """Every key of a week, however rare: a window can only be exact if its weeks are not pruned.

    Args:
        con: where the query runs.
        corpus: one row a conversation, with `conversation_id` and `words` (list of string).

    Returns:
        The schema `VOCABULARY`, sorted by id.

    Raises:
        IdCollision: two keys of this week share an id.
    """
    vocabulary = query(con, "vocabulary", {"corpus": corpus}).cast(VOCABULARY)
    with registered(con, {"vocabulary": vocabulary}):
        refuse_collisions(con)
    return vocabulary


def stable_ids(con: duckdb.DuckDBPyConnection, keys: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Each distinct key with the id that it has in every week, for tables that are counted in SQL of one's own.

    Args:
        con: where the query runs.
        keys: string; repeats and nulls are left out.

    Returns:
        `code` (int64, order of first occurrence), `key` (string), `id` (int64).
    """
    distinct = keys.unique().drop_null()
    return query(con, "stable_ids", {"keys": pa.table({"code": range(len(distinct)), "key": distinct})})


def refuse_collisions(con: duckdb.DuckDBPyConnection) -> None:
    """Check that no id of the readable relation `vocabulary` (`key`, `id`) stands for two keys.

    Raises:
        IdCollision: one does. With 10 million keys that has a chance of about 4 in 100,000.
    """
    found = query(con, "id_collisions", {})
    if found.num_rows:
        first = found.slice(0, 1).to_pylist()[0]
        raise IdCollision(
            f"{found.num_rows} ids stand for more than one key, such as {first['id']} for "
            f"{first['first_key']!r} and {first['second_key']!r}; take one of the keys out"
        )


def encode_words(words: pa.ChunkedArray) -> tuple[pa.ListArray, pa.Table]:
    """Lists of words as lists of int32 codes, and a table with the `key` of each `code`.

    Queries group integers several times faster than strings.
    """
    lists = words.combine_chunks()
    encoded = lists.flatten().dictionary_encode()
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))]).astype(np.int32)
    numbers = np.arange(len(encoded.dictionary), dtype=np.int32)
    keys = pa.table({"code": numbers, "key": encoded.dictionary})
    return pa.ListArray.from_arrays(offsets, encoded.indices), keys
