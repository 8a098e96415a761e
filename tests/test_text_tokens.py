"""One row a tweet: words, entities and the conversation that it belongs to."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from embedding_assets.text.conversations import resolve_conversations
from embedding_assets.text.tokens import TOKENS, tokenize

TIME = pa.timestamp("us", tz="UTC")
START = datetime(2026, 1, 5, tzinfo=UTC)


def make_tweets(texts, **columns):
    n = len(texts)
    return pa.table(
        {
            "tweet_id": pa.array([str(i) for i in range(n)], pa.string()),
            "user_id": pa.array([f"u{i % 3}" for i in range(n)], pa.string()),
            "created_at": pa.array([START + timedelta(minutes=i) for i in range(n)], TIME),
            "text": pa.array(texts, pa.string()),
        }
        | {name: pa.array(values, pa.string()) for name, values in columns.items()}
    )


def test_tokenize_fills_every_column():
    tweets = make_tweets(
        ["RT @Ann: New #JAX at https://news.bbc.co.uk/x $twtr 😀", "", "RT @Ann: hi"], lang=["en", None, "en"]
    )
    tokens = tokenize(tweets)
    assert tokens.schema == TOKENS
    assert tokens.to_pylist()[0] == {
        "tweet_id": "0",
        "user_id": "u0",
        "conversation_id": "0",
        "created_at": START,
        "lang": "en",
        "words": ["rt", "new", "at", "😀"],
        "hashtags": ["jax"],
        "mentions": ["ann"],
        "cashtags": ["TWTR"],
        "domains": ["bbc.co.uk"],
    }
    assert tokens["words"].to_pylist()[1:] == [[], ["rt", "hi"]]


def test_tokenize_reads_entities_after_decoding_html():
    assert tokenize(make_tweets(["go http://a.com/?x=1&amp;y=#z &lt;#b"]))["hashtags"].to_pylist() == [["b"]]


def test_a_repeated_text_gets_the_same_row_again():
    tokens = tokenize(make_tweets(["a #b"] * 4 + ["c"] + ["a #b"]))
    assert tokens["words"].to_pylist() == [["a"]] * 4 + [["c"], ["a"]]
    assert tokens["tweet_id"].to_pylist() == list("012345")


def test_no_tweets_are_no_tokens():
    assert tokenize(make_tweets([])).equals(TOKENS.empty_table())
    assert tokenize(make_tweets(["x"]).slice(1)).equals(TOKENS.empty_table())


@pytest.mark.parametrize(
    ("own", "reply_to", "expected"),
    [
        ([None] * 3, [None] * 3, ["0", "1", "2"]),
        (["9", None, "8"], [None, "0", "1"], ["9", "9", "8"]),  # a reply inherits, its own wins
        ([None] * 4, [None, "0", "1", "2"], ["0"] * 4),
        ([None] * 3, ["gone", "gone", "1"], ["gone"] * 3),  # the parent is not here
        ([None] * 3, ["0", "1", None], ["0", "1", "2"]),  # answers itself
        ([None] * 4, ["1", "0", "1", "2"], ["0"] * 4),  # a circle of two, and a tail
        ([None] * 4, ["2", "0", "1", "0"], ["0"] * 4),  # a circle of three
        (["7", None, None], ["1", "0", "1"], ["7"] * 3),  # a circle that names its conversation
        ([None] * 5, ["1", "2", "3", "0", "2"], ["0"] * 5),  # a circle of four
    ],
)
def test_conversations(own, reply_to, expected):
    tweets = make_tweets(["x"] * len(own), conversation_id=own, in_reply_to=reply_to)
    assert resolve_conversations(tweets).to_pylist() == expected


def test_conversations_match_following_each_chain_by_hand(rng):
    n = 400
    ids = [str(i) for i in range(n)]
    reply_to = [None if rng.random() < 0.2 else str(rng.integers(n + 20)) for _ in range(n)]
    own = [str(rng.integers(5)) + "c" if rng.random() < 0.1 else None for _ in range(n)]
    tweets = make_tweets(["x"] * n, conversation_id=own, in_reply_to=reply_to)

    def follow(i):
        seen = []
        while True:
            if own[i] is not None:
                return own[i]
            if reply_to[i] is None:
                return ids[i]
            if reply_to[i] not in ids:
                return reply_to[i]
            seen.append(i)
            i = int(reply_to[i])
            if i in seen:
                return min(ids[j] for j in seen[seen.index(i) :])

    assert resolve_conversations(tweets).to_pylist() == [follow(i) for i in range(n)]


def test_a_long_chain_of_replies_ends_in_its_root():
    n = 50_000
    reply_to = [None] + [str(i) for i in range(n - 1)]
    tweets = make_tweets(["x"] * n, in_reply_to=reply_to)
    assert set(resolve_conversations(tweets).to_pylist()) == {"0"}


def test_real_tweets_are_taken_apart_whole(real_data):
    import pyarrow.parquet as pq

    raw = pq.read_table(real_data / "tweets" / "2015-02.parquet").slice(0, 3000)
    tweets = raw.select(["user_id", "created_at", "text"]).append_column("tweet_id", raw["tweet_id"].cast(pa.string()))
    tokens = tokenize(tweets)
    assert tokens["tweet_id"].equals(tweets["tweet_id"])
    words = tokens["words"].combine_chunks().flatten().to_pylist()
    assert len(words) > 5 * tweets.num_rows
    assert not any(w.startswith(("#", "@", "http")) or "\ufffd" in w or w != w.strip() for w in words)
    assert np.mean(tokens["hashtags"].combine_chunks().value_lengths().to_numpy()) > 0.1
