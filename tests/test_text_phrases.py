"""Phrases as one word, and conversations as lists of words."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from embedding_assets.text.corpus import CORPUS, build_corpus
from embedding_assets.text.phrases import join_phrases
from embedding_assets.text.tokens import TOKENS


def make_phrases(*phrases):
    return pa.table(
        {
            "phrase": pa.array(phrases, pa.string()),
            "words": pa.array([p.split() for p in phrases], pa.list_(pa.string())),
        }
    )


def make_tokens(rows):
    """Rows of (tweet id, user, conversation, minute, text)."""
    return pa.Table.from_pylist(
        [
            {
                "tweet_id": tweet,
                "user_id": user,
                "conversation_id": conversation,
                "created_at": datetime(2026, 1, 5, 0, minute, tzinfo=UTC),
                "words": text.split(),
            }
            for tweet, user, conversation, minute, text in rows
        ],
        schema=TOKENS,
    )


def join(text, *phrases):
    tokens = pa.table({"words": pa.array([text.split()], pa.list_(pa.string()))})
    return join_phrases(tokens, make_phrases(*phrases))["words"].to_pylist()[0]


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("i love new york city", ["new york"], ["i", "love", "new york", "city"]),
        ("new york city new york", ["new york", "new york city"], ["new york city", "new york"]),
        ("a b c", ["a b", "b c"], ["a b", "c"]),  # from left to right
        ("a b c", ["b c", "x y"], ["a", "b c"]),
        ("a a a", ["a a"], ["a a", "a"]),
        ("a b d", ["a b c"], ["a", "b", "d"]),
        ("a b", ["a b c"], ["a", "b"]),
        ("", ["a b"], []),
        ("a", ["a b"], ["a"]),
        ("a b", [], ["a", "b"]),
    ],
)
def test_join_phrases(text, phrases, expected):
    assert join(text, *phrases) == expected


def test_a_phrase_does_not_cross_two_tweets():
    words = pa.array([["x", "new"], [], ["york", "new"], ["york"]], pa.list_(pa.string()))
    tokens = pa.table({"n": [1, 2, 3, 4], "words": words})
    joined = join_phrases(tokens, make_phrases("new york", "x new york"))
    assert joined.equals(tokens)


def test_join_phrases_matches_walking_each_list(rng):
    lists = [[f"w{i}" for i in rng.integers(6, size=rng.integers(0, 12))] for _ in range(300)]
    phrases = ["w0 w1", "w1 w2", "w1 w2 w3", "w4 w4", "w2 w3 w4", "w5 w9"]
    known = {tuple(p.split()) for p in phrases}

    def walk(words):
        out, i = [], 0
        while i < len(words):
            size = next((n for n in (3, 2) if tuple(words[i : i + n]) in known), 1)
            out.append(" ".join(words[i : i + size]))
            i += size
        return out

    tokens = pa.table({"words": pa.array(lists, pa.list_(pa.string()))}).slice(7)
    assert join_phrases(tokens, make_phrases(*phrases))["words"].to_pylist() == [walk(words) for words in lists[7:]]


def test_a_conversation_is_its_tweets_in_order_of_time():
    tokens = make_tokens(
        [
            ("t3", "ann", "c2", 3, "late new"),
            ("t1", "ann", "c1", 1, "alone"),
            ("t2", "bob", "c2", 2, "early"),
            ("t4", "ann", "c2", 3, "york"),  # same minute: by id
            ("t5", "eve", "c3", 1, ""),
        ]
    )
    corpus = build_corpus(tokens, make_phrases("new york"))
    assert corpus.schema == CORPUS
    assert corpus.to_pylist() == [
        {"conversation_id": "c1", "tweets": 1, "authors": 1, "words": ["alone"]},
        # "new" ends one tweet and "york" begins the next: no phrase
        {"conversation_id": "c2", "tweets": 3, "authors": 2, "words": ["early", "late", "new", "york"]},
        {"conversation_id": "c3", "tweets": 1, "authors": 1, "words": []},
    ]


def test_the_order_of_the_tweets_does_not_change_the_corpus(rng):
    rows = [(f"t{i}", f"u{i % 4}", f"c{i % 9}", int(rng.integers(5)), f"w{i} new york") for i in range(120)]
    phrases = make_phrases("new york")
    expected = build_corpus(make_tokens(rows), phrases)
    shuffled = build_corpus(make_tokens([rows[i] for i in rng.permutation(len(rows))]), phrases)
    assert shuffled.equals(expected)
    assert int(np.sum(expected["tweets"].to_numpy())) == len(rows)


def test_no_tweets_are_no_conversations():
    assert build_corpus(TOKENS.empty_table(), make_phrases()).equals(CORPUS.empty_table())
    assert build_corpus(TOKENS.empty_table(), make_phrases("a b")).num_rows == 0
