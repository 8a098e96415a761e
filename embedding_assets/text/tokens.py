"""From the raw tweets of a week to their words and entities, one row a tweet."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from embedding_assets.text.conversations import resolve_conversations
from embedding_assets.text.tweets import domain
from embedding_assets.text.words import analyse

_STRINGS = pa.list_(pa.string())
#: One row a tweet, in the order of the input; lists in the order of the text, repeats included.
TOKENS = pa.schema(
    [
        pa.field("tweet_id", pa.string()),
        pa.field("user_id", pa.string()),
        pa.field("conversation_id", pa.string()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("lang", pa.string()),
        pa.field("words", _STRINGS),
        pa.field("hashtags", _STRINGS),
        pa.field("mentions", _STRINGS),
        pa.field("cashtags", _STRINGS),
        pa.field("domains", _STRINGS),
    ]
)


def tokenize(tweets: pa.Table) -> pa.Table:
    """Words, entities and conversation of each tweet.

    Args:
        tweets: the event table `tweets`; `lang`, `conversation_id` and `in_reply_to` may be absent.

    Returns:
        The schema `TOKENS`: words, hashtags, mentions and domains lower-cased, cashtags upper-cased.
    """
    # Retweets and bots repeat themselves: each distinct text is taken apart once.
    texts = tweets["text"].combine_chunks().dictionary_encode()
    distinct = _analyse_all(texts.dictionary.to_pylist())
    columns = {
        "tweet_id": tweets["tweet_id"],
        "user_id": tweets["user_id"],
        "conversation_id": resolve_conversations(tweets),
        "created_at": tweets["created_at"],
        "lang": tweets["lang"] if "lang" in tweets.column_names else pa.nulls(len(texts)),
    } | {name: values.take(texts.indices) for name, values in distinct.items()}
    return pa.table(columns).cast(TOKENS)


def _analyse_all(texts: Sequence[str]) -> dict[str, pa.ListArray]:
    """The list columns of `TOKENS`, one list a text."""
    names = ("words", "hashtags", "mentions", "cashtags", "domains")
    flat: dict[str, list[str]] = {name: [] for name in names}
    ends: dict[str, list[int]] = {name: [0] for name in names}
    for text in texts:
        found, entities = analyse(text)
        flat["words"] += found
        flat["hashtags"] += [tag.lower() for tag in entities.hashtags]
        flat["mentions"] += [name.lower() for name in entities.mentions]
        flat["cashtags"] += [tag.upper() for tag in entities.cashtags]
        flat["domains"] += [site for url in entities.urls if (site := domain(url))]
        for name in names:
            ends[name].append(len(flat[name]))
    return {
        name: pa.ListArray.from_arrays(np.array(ends[name], dtype=np.int32), pa.array(flat[name], pa.string()))
        for name in names
    }
