"""Joins the tweets of each conversation into one list of words, to count co-occurrence in."""

import numpy as np
import pyarrow as pa

from embedding_assets.text.phrases import join_phrases

#: One row a conversation, sorted by its id; `words` in the order in which they were written.
CORPUS = pa.schema(
    [
        pa.field("conversation_id", pa.string()),
        pa.field("tweets", pa.int32()),
        pa.field("authors", pa.int32()),
        pa.field("words", pa.list_(pa.string())),
    ]
)


def build_corpus(tokens: pa.Table, phrases: pa.Table) -> pa.Table:
    """The conversations of a week: their tweets' words, phrases joined, in order of time.

    Args:
        tokens: as `tokenize` makes it, in any order.
        phrases: as `join_phrases` takes it.

    Returns:
        The schema `CORPUS`. A conversation without words has an empty list.
    """
    order = [(name, "ascending") for name in ("conversation_id", "created_at", "tweet_id")]
    joined = join_phrases(tokens, phrases).sort_by(order)
    starts = _run_starts(joined["conversation_id"])
    bounds = np.append(starts, joined.num_rows)
    lists = joined["words"].combine_chunks()
    word_ends = np.append(0, np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False)))
    columns = {
        "conversation_id": joined["conversation_id"].take(pa.array(starts)),
        "tweets": np.diff(bounds),
        "authors": _count_authors(joined["user_id"], bounds),
        "words": pa.ListArray.from_arrays(pa.array(word_ends[bounds], pa.int32()), lists.flatten()),
    }
    return pa.table(columns).cast(CORPUS)


def _run_starts(values: pa.ChunkedArray) -> np.ndarray:
    """Where a value differs from the one before it."""
    codes = values.combine_chunks().dictionary_encode().indices.to_numpy()
    return np.flatnonzero(np.diff(codes, prepend=-1))


def _count_authors(users: pa.ChunkedArray, bounds: np.ndarray) -> np.ndarray:
    """Distinct users in each stretch between two bounds."""
    codes = users.combine_chunks().dictionary_encode().indices.to_numpy()
    stretch = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    distinct = np.unique((stretch << 32) | codes)
    return np.bincount(distinct >> 32, minlength=len(bounds) - 1)
