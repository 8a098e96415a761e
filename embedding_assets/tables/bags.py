"""Tweets as bags of words, and the words that users meet: in tweets that they write or like."""

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from embedding_assets.tables.engine import query

#: One row a key and a feature of it, sorted by both; `weight` is above 0.
BAGS = pa.schema([pa.field("key", pa.string()), pa.field("feature", pa.string()), pa.field("weight", pa.float64())])
_LIKES = pa.schema([pa.field("user_id", pa.string()), pa.field("tweet_id", pa.string()), pa.field("kind", pa.string())])


def tweet_bags(con: duckdb.DuckDBPyConnection, tokens: pa.Table) -> pa.Table:
    """Each tweet's words with how often they occur in it, in the schema `BAGS`; a tweet without words has no row."""
    return query(con, "tweet_bags", {"tokens": tokens}).cast(BAGS)


def user_words(
    con: duckdb.DuckDBPyConnection,
    tokens: pa.Table,
    engagements: pa.Table | None,
    kinds: Mapping[str, float],
    own: float,
    max_weight: float,
) -> pa.Table:
    """In how many tweets of the week a user meets a word, by writing or liking them.

    Args:
        con: where the query runs.
        tokens: as `tokenize` makes them.
        engagements: the event table; None where there is none: then only what users write counts.
        kinds: engagements by which a user likes a tweet -> weight of the tweet, above 0.
        own: weight of a tweet that the user wrote; 0 leaves these out.
        max_weight: at most this much for one user and word, so that who repeats itself does not own the word.

    Returns:
        `source` (user), `destination` (word), `weight` (float64), as `sum_triples` takes it.
    """
    likes = _LIKES.empty_table() if engagements is None else engagements.select(_LIKES.names)
    weights = pa.table({"kind": pa.array(kinds, pa.string()), "weight": pa.array(kinds.values(), pa.float64())})
    relations = {"tokens": tokens, "engagements": likes, "kinds": weights}
    return query(con, "user_words", relations, own=own, max_weight=max_weight)
