"""Keys that meet in contexts: what is gathered, what is bounded, what is counted."""

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from itertools import permutations

import pyarrow as pa
import pytest

from embedding_assets.embeddings.hashtag import hashtags_of_conversations
from embedding_assets.embeddings.producer import producers_of_days
from embedding_assets.embeddings.tweet_colike import tweets_of_users
from embedding_assets.sources.schema import TABLES
from embedding_assets.tables.bags import BAGS, tweet_bags, user_words
from embedding_assets.tables.engine import connect
from embedding_assets.tables.producers import PRODUCERS
from embedding_assets.tables.together import CONTEXTS, MEETINGS, count_keys, count_meetings, gather_contexts
from embedding_assets.text.tokens import TOKENS

#: No bound that these small tables could reach.
FREE = 1000


@pytest.fixture
def con():
    with closing(connect(threads=1)) as connection:
        yield connection


def occurrences(rows):
    names = ("context", "contributor", "key")
    return pa.table({name: pa.array([row[place] for row in rows], pa.string()) for place, name in enumerate(names)})


def random_occurrences(rng, rows, contexts=40, contributors=7, keys=23):
    drawn = zip(*(rng.integers(many, size=rows) for many in (contexts, contributors, keys)), strict=True)
    return occurrences([(f"c{context}", f"u{user}", f"k{key}") for context, user, key in drawn])


def gathered(table):
    return {row["context"]: set(row["keys"]) for row in table.to_pylist()}


def listed(contexts):
    return pa.table({"context": [*contexts], "keys": [*contexts.values()]}, CONTEXTS)


def weights(con, contexts, **how):
    """(key, key) -> weight, keys by name."""
    names = {row["id"]: row["key"] for row in count_keys(con, contexts).to_pylist()}
    rows = count_meetings(con, contexts, **how).to_pylist()
    return {(names[row["row_id"]], names[row["col_id"]]): row["count"] for row in rows}


def test_a_context_holds_its_distinct_keys(con, rng):
    table = random_occurrences(rng, 120)
    expected = {}
    for row in table.to_pylist():
        expected.setdefault(row["context"], set()).add(row["key"])
    found = gather_contexts(con, table, max_context=FREE)
    assert found.schema == CONTEXTS
    assert gathered(found) == {context: keys for context, keys in expected.items() if len(keys) > 1}
    assert found["context"].to_pylist() == sorted(gathered(found))
    assert all(len(keys) == len(set(keys)) for keys in found["keys"].to_pylist())


@pytest.mark.parametrize("blank", [(None, "u", "k"), ("c", None, "k"), ("c", "u", None)])
def test_a_row_with_a_null_is_left_out(con, blank):
    rows = [("c", "u", "a"), ("c", "u", "b"), blank]
    assert gathered(gather_contexts(con, occurrences(rows), max_context=FREE)) == {"c": {"a", "b"}}


def test_a_key_alone_meets_nobody(con):
    rows = [("c", "ann", "a"), ("c", "bob", "a"), ("d", "ann", "b")]
    assert gather_contexts(con, occurrences(rows), max_context=FREE).equals(CONTEXTS.empty_table())


def test_a_context_is_cut_to_its_bound_by_a_choice_of_its_own(con):
    keys = [f"k{i:02}" for i in range(60)]
    table = occurrences([(context, "u", key) for context in ("a", "b") for key in keys])
    kept = gathered(gather_contexts(con, table, max_context=20))
    assert [len(one) for one in kept.values()] == [20, 20]
    assert kept["a"] != kept["b"]
    assert kept["a"] != set(keys[:20])
    assert gathered(gather_contexts(con, table.take(pa.array(range(119, -1, -1))), max_context=20)) == kept


def test_a_contributor_brings_a_key_into_few_contexts(con):
    bot = [(f"c{i}", "bot", key) for i in range(50) for key in ("spam", "sale")]
    people = [(f"c{i}", f"u{i}", key) for i in range(50) for key in ("guitar", "drums")]
    found = gather_contexts(con, occurrences(bot + people), max_context=FREE, max_each=3)
    counts = {row["key"]: row["count"] for row in count_keys(con, found).to_pylist()}
    assert counts == {"guitar": 50, "drums": 50, "spam": 3, "sale": 3}


@pytest.mark.parametrize("bound", ["max_context", "max_each"])
def test_a_bound_of_nothing_is_refused(con, bound):
    with pytest.raises(ValueError, match=f"{bound} must be at least 1, got 0"):
        gather_contexts(con, occurrences([]), **{"max_context": 1, "max_each": 1, bound: 0})


def test_meetings_match_a_plain_loop(con, rng):
    contexts = gather_contexts(con, random_occurrences(rng, 200), max_context=FREE)
    alone, together = Counter(), Counter()
    for keys in contexts["keys"].to_pylist():
        alone.update(keys)
        together.update(permutations(keys, 2))
    assert count_meetings(con, contexts, shared=False).schema == MEETINGS
    assert weights(con, contexts, shared=False) == together
    assert {row["key"]: row["count"] for row in count_keys(con, contexts).to_pylist()} == alone


def test_keys_of_a_context_share_one_unit_each(con):
    found = weights(con, listed({"short": ["a", "b"], "long": ["a", "b", "c", "d", "e"]}), shared=True)
    assert found["a", "b"] == 1.25
    assert found["d", "e"] == 0.25
    assert sum(weight for (row, _), weight in found.items() if row == "a") == 2


def test_shared_weights_add_up_exactly_in_any_order(con, rng):
    contexts = gather_contexts(con, random_occurrences(rng, 200), max_context=FREE)
    found = count_meetings(con, contexts, shared=True)["count"].to_numpy()
    assert (found * 2**24 % 1 == 0).all()
    assert (found[found < 1] > 0).all()
    assert len(set(found.tolist())) > 3


@pytest.mark.parametrize("shared", [True, False])
def test_meetings_equal_their_transpose(con, rng, shared):
    contexts = gather_contexts(con, random_occurrences(rng, 150), max_context=5)
    found = weights(con, contexts, shared=shared)
    assert found
    assert all(found[column, row] == weight for (row, column), weight in found.items())


@pytest.mark.parametrize("shared", [True, False])
def test_the_bytes_are_the_same_again_and_with_more_threads(rng, shared):
    table = random_occurrences(rng, 20_000, contexts=3000, contributors=90, keys=500)
    made = []
    for threads in (1, 2, 2):
        with closing(connect(threads=threads)) as con:
            contexts = gather_contexts(con, table, max_context=6, max_each=4)
            made.append((contexts, count_keys(con, contexts), count_meetings(con, contexts, shared=shared)))
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("contexts", [{}, {"c": ["alone"]}, {"c": ["a"], "d": ["b"]}])
def test_keys_that_never_meet_make_no_pairs(con, contexts):
    assert count_meetings(con, listed(contexts), shared=True).equals(MEETINGS.empty_table())


def engagements(*rows):
    """(user, producer, tweet, kind, day of January 2026) each."""
    made = [
        {
            "user_id": user,
            "producer_id": producer,
            "tweet_id": tweet,
            "kind": kind,
            "weight": 1.0,
            "created_at": datetime(2026, 1, day, 23, 59, tzinfo=UTC),
        }
        for user, producer, tweet, kind, day in rows
    ]
    return pa.Table.from_pylist(made, TABLES["engagements"])


def tokens(*rows):
    """(tweet, user, conversation, words, hashtags) each."""
    names = ("tweet_id", "user_id", "conversation_id", "words", "hashtags")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], TOKENS)


def test_producers_meet_where_one_consumer_likes_them_on_one_day(con):
    liked = engagements(
        ("ann", "p1", "t1", "like", 5),
        ("ann", "p2", "t2", "retweet", 5),
        ("ann", "p1", "t3", "like", 5),
        ("ann", "p3", "t4", "like", 6),
        ("bob", "p3", "t4", "like", 5),
        ("bob", "p4", "t6", "like", 5),
        ("bob", "p9", "t5", "like", 5),
        ("bob", "p1", "t1", "reply", 5),
    )
    known = pa.Table.from_pylist(
        [
            {"key": "p1", "followers": 9, "following": 1, "is_producer": True},
            {"key": "p9", "followers": 1, "following": 9, "is_producer": False},
        ],
        PRODUCERS,
    )
    found = producers_of_days(con, liked, known, kinds=["like", "retweet"], max_context=9, max_each=9)
    assert sorted(map(sorted, found["keys"].to_pylist())) == [["p1", "p2"], ["p3", "p4"]]


def test_tweets_meet_where_one_user_likes_both(con):
    liked = engagements(
        ("ann", "p1", "t1", "like", 5),
        ("ann", "p2", "t2", "like", 9),
        ("ann", "p2", "t2", "retweet", 9),
        ("ann", "p2", None, "like", 9),
        ("bob", "p2", "t3", "reply", 9),
    )
    assert gathered(tweets_of_users(con, liked, kinds=["like", "retweet"], max_context=9)) == {"ann": {"t1", "t2"}}


def test_hashtags_meet_where_one_conversation_holds_both(con):
    written = tokens(
        ("t1", "ann", "c1", [], ["jax", "gpu"]),
        ("t2", "bob", "c1", [], ["tpu", "jax"]),
        ("t3", "bob", "c2", [], ["jazz"]),
        ("t4", "bob", "c3", ["word"], []),
    )
    found = hashtags_of_conversations(con, written, max_context=9, max_each=9)
    assert gathered(found) == {"c1": {"jax", "gpu", "tpu"}}


def test_a_tweet_is_the_bag_of_its_words(con):
    written = tokens(("t2", "ann", "c", ["b", "a", "b"], []), ("t1", "bob", "c", ["a"], []), ("t3", "bob", "c", [], []))
    found = tweet_bags(con, written)
    assert found.schema == BAGS
    assert [tuple(row.values()) for row in found.to_pylist()] == [("t1", "a", 1.0), ("t2", "a", 1.0), ("t2", "b", 2.0)]


WRITTEN = tokens(
    ("t1", "ann", "c", ["sun", "sea", "sun"], []),
    ("t2", "ann", "c", ["sun"], []),
    ("t3", "bob", "c", ["moon"], []),
)


def met(con, likes, **settings):
    settings = {"kinds": {"like": 2.0}, "own": 1.0, "max_weight": 100.0, **settings}
    return {tuple(row.values())[:2]: row["weight"] for row in user_words(con, WRITTEN, likes, **settings).to_pylist()}


def test_a_user_meets_the_words_that_it_writes_or_likes(con):
    likes = engagements(
        ("bob", "ann", "t1", "like", 5),
        ("bob", "ann", "t1", "like", 6),  # the same tweet again
        ("bob", "ann", "t2", "reply", 5),  # no like
        ("ann", "ann", "t2", "like", 5),  # one's own: by the larger weight
        ("cat", "who", "t0", "like", 5),  # a tweet of another week
    )
    written = {("ann", "sun"): 3.0, ("ann", "sea"): 1.0, ("bob", "moon"): 1.0}
    assert met(con, likes) == {**written, ("bob", "sun"): 2.0, ("bob", "sea"): 2.0}
    assert met(con, likes, own=0.0) == {("ann", "sun"): 2.0, ("bob", "sun"): 2.0, ("bob", "sea"): 2.0}


def test_without_engagements_there_is_what_users_write(con):
    assert met(con, None) == {("ann", "sun"): 2.0, ("ann", "sea"): 1.0, ("bob", "moon"): 1.0}
    assert met(con, None, own=0.0) == {}


def test_who_repeats_itself_does_not_own_a_word(con):
    assert met(con, None, max_weight=1.5)["ann", "sun"] == 1.5
