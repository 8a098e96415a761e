"""Finds producers in the follow graph: accounts that relatively many follow."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from embedding_assets.records import Week
from embedding_assets.tables.engine import query

#: One row an account of the follow graph, sorted by key: how many follow it, how many it follows.
PRODUCERS = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("followers", pa.int64()),
        pa.field("following", pa.int64()),
        pa.field("is_producer", pa.bool_()),
    ]
)
_FOLLOWS = pa.schema([pa.field("src", pa.string()), pa.field("dst", pa.string())])


def find_producers(
    con: duckdb.DuckDBPyConnection,
    follows: Mapping[Week, ds.Dataset] | None,
    *,
    min_followers: int,
    min_ratio: float,
) -> pa.Table:
    """Every account that follows or is followed, and whether it is a producer.

    Args:
        con: where the query runs.
        follows: week -> `src`, `dst`; None where there is no follow graph: then nothing is known of anyone.
        min_followers: least number of followers of a producer.
        min_ratio: least number of followers of a producer for each account that it follows.

    Returns:
        The schema `PRODUCERS`.
    """
    least = {"min_followers": min_followers, "min_ratio": min_ratio}
    return query(con, "producers", {"follows": all_follows(follows or {})}, **least).cast(PRODUCERS)


def all_follows(follows: Mapping[Week, ds.Dataset]) -> pa.Table:
    """`src` and `dst` of all weeks below one another, oldest first; an edge may repeat."""
    weeks = [follows[week].to_table(columns=_FOLLOWS.names).cast(_FOLLOWS) for week in sorted(follows)]
    return pa.concat_tables([_FOLLOWS.empty_table(), *weeks])
