"""Counts which words stand near which, in one week's conversations."""

import duckdb
import pyarrow as pa

from embedding_assets.tables.engine import query, registered
from embedding_assets.tables.vocabulary import encode_words, refuse_collisions

#: One row a pair that occurs, in both directions, sorted by (row_id, col_id).
PAIRS = pa.schema(
    [
        pa.field("row_id", pa.int64()),
        pa.field("col_id", pa.int64()),
        pa.field("count", pa.int64()),
    ]
)


def count_pairs(con: duckdb.DuckDBPyConnection, corpus: pa.Table, *, window: int = 5) -> pa.Table:
    """How often each word stands at most `window` words from each other in one conversation.

    Every two places are counted from both sides, so the table equals its transpose and a word beside itself
    counts twice. The window is fixed, not drawn as in word2vec: weekly tables then simply add up.

    Args:
        con: where the query runs; neither its threads nor its memory limit change a byte of the result.
        corpus: one row a conversation, with `words` (list of string).
        window: largest distance, in words.

    Returns:
        The schema `PAIRS`, unpruned; ids as in `count_vocabulary` of the same corpus.

    Raises:
        ValueError: `window` is less than 1.
        IdCollision: two words of this week share an id.
    """
    if window < 1:
        raise ValueError(f"window must be at least 1 word, got {window}")
    codes, keys = encode_words(corpus["words"])
    ids = query(con, "stable_ids", {"keys": keys})
    with registered(con, {"vocabulary": ids}):
        refuse_collisions(con)
    relations = {"corpus": pa.table({"codes": codes}), "ids": ids.select(["code", "id"])}
    return query(con, "pairs", relations, window=window).cast(PAIRS)
