"""Which conversation each tweet belongs to."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# pyarrow makes the functions of `compute` at import, where pyright does not see them.
# pyright: reportAttributeAccessIssue=false


def resolve_conversations(tweets: pa.Table) -> pa.Array:
    """The conversation of each tweet: its own `conversation_id`, else that of the one it answers.

    The chain of `in_reply_to` is followed up to the first tweet that names its conversation, else to its root; a
    parent that is not among `tweets` is a root too, so that two answers to it meet. Tweets that answer each
    other in a circle share the smallest of their ids. Linear in the number of tweets, but for a logarithm.

    Args:
        tweets: `tweet_id`, and where the source has them `conversation_id` and `in_reply_to`.

    Returns:
        (N,) string, in the order of `tweets`, without nulls.
    """
    ids = tweets["tweet_id"].combine_chunks()
    own = _column(tweets, "conversation_id")
    reply_to = _column(tweets, "in_reply_to")
    answers = pc.and_(pc.is_null(own), pc.is_valid(reply_to))
    parents = pc.index_in(pc.if_else(answers, reply_to, None), value_set=ids)
    here = np.arange(len(ids))
    parent = np.where(parents.is_valid(), parents.fill_null(0).to_numpy(), here)
    roots = _roots(parent, ids)
    # What a root calls its conversation: its own, else the tweet that it answers and we do not have, else itself.
    names = pc.coalesce(own, reply_to, ids)
    in_circle = pa.array(parent[roots] != roots)
    return pc.if_else(in_circle, ids.take(pa.array(roots)), names.take(pa.array(roots)))


def _column(tweets: pa.Table, name: str) -> pa.Array:
    if name in tweets.column_names:
        return tweets[name].combine_chunks().cast(pa.string())
    return pa.nulls(tweets.num_rows, pa.string())


def _roots(parent: np.ndarray, ids: pa.Array) -> np.ndarray:
    """(N,) the root that each tweet's chain ends in; in a circle, the tweet with the smallest id of it."""
    jump = parent
    for _ in range(max(len(parent), 1).bit_length()):  # each round doubles the distance covered
        if np.array_equal(parent[jump], jump):
            return jump
        jump = jump[jump]
    # Whoever has not arrived by now has walked into a circle.
    representative: dict[int, int] = {}
    for start in np.unique(jump[parent[jump] != jump]).tolist():
        if start not in representative:
            circle = [start]
            while (after := int(parent[circle[-1]])) != start:
                circle.append(after)
            smallest = min(circle, key=lambda place: ids[place].as_py())
            representative.update(dict.fromkeys(circle, smallest))
    return np.array([representative.get(root, root) for root in jump.tolist()])
