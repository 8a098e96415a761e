"""Keys that meet in one context: from who brought which key where, to the counts that a window sums.

A context is whatever makes keys meet: a user's likes of one day, a conversation, all that one user liked.
Whoever brings a key into it is its contributor. Both are bounded, so that neither a hub nor a bot decides
what is frequent.
"""

import duckdb
import pyarrow as pa

from embedding_assets.tables.engine import query
from embedding_assets.tables.vocabulary import count_vocabulary

#: One row a context, sorted by its name; its distinct keys, at least two, in an order of no meaning.
CONTEXTS = pa.schema([pa.field("context", pa.string()), pa.field("keys", pa.list_(pa.string()))])
#: One row an ordered pair that meets, sorted by its ids; `count` is a whole multiple of 2^-24, so that weeks can be
#: summed exactly in any order.
MEETINGS = pa.schema([pa.field("row_id", pa.int64()), pa.field("col_id", pa.int64()), pa.field("count", pa.float64())])
#: For contributors that are in one context each, as users are who are contexts themselves.
NO_BOUND = 2**31 - 1


def gather_contexts(
    con: duckdb.DuckDBPyConnection, occurrences: pa.Table, *, max_context: int, max_each: int = NO_BOUND
) -> pa.Table:
    """The contexts of a week, each with its distinct keys, bounded.

    What is over a bound is left out by hash: the choice is the same every time, favours no key for its name or
    place, and is another one in another context.

    Args:
        con: where the query runs; neither its threads nor its memory limit change a byte of the result.
        occurrences: `context`, `contributor`, `key` (string); a repeat counts once, a row with a null not at all.
        max_context: at most so many keys a context.
        max_each: a contributor brings a key into at most so many contexts, and so adds at most this to a count.

    Returns:
        The schema `CONTEXTS`, without those where a key is alone: it meets nobody there, and who never meets
        anybody has no vector to learn.

    Raises:
        ValueError: a bound is less than 1.
    """
    for name, bound in (("max_context", max_context), ("max_each", max_each)):
        if bound < 1:
            raise ValueError(f"gather_contexts.{name} must be at least 1, got {bound}")
    found = query(con, "contexts", {"occurrences": occurrences}, max_context=max_context, max_each=max_each)
    return found.cast(CONTEXTS)


def count_keys(con: duckdb.DuckDBPyConnection, contexts: pa.Table) -> pa.Table:
    """In how many contexts each key meets another: `key` (string), `id` (int64, stable), `count` (int64), sorted by id.

    Raises:
        IdCollision: two keys of this week share an id.
    """
    corpus = contexts.rename_columns(["conversation_id", "words"])
    return count_vocabulary(con, corpus).select(["key", "id", "count"])


def count_meetings(con: duckdb.DuckDBPyConnection, contexts: pa.Table, *, shared: bool) -> pa.Table:
    """How strongly each two keys meet, in both directions: the table equals its transpose.

    Args:
        con: where the query runs; neither its threads nor its memory limit change a byte of the result.
        contexts: as `gather_contexts` makes them.
        shared: each key of a context of n keys has one unit to share among the other n - 1, so a long list, which
            says little about any two of its keys, weighs no more than n short ones; else each meeting counts 1.

    Returns:
        The schema `MEETINGS`, unpruned; ids as in `count_keys` of the same contexts.
    """
    return query(con, "meetings", {"contexts": contexts}, shared=shared).cast(MEETINGS)
