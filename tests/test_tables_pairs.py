"""Vocabulary and pair counts of one week."""

import hashlib
from collections import Counter
from contextlib import closing

import pyarrow as pa
import pytest

from embedding_assets.tables import vocabulary as vocabulary_module
from embedding_assets.tables.engine import connect, registered
from embedding_assets.tables.errors import IdCollision
from embedding_assets.tables.pairs import PAIRS, count_pairs
from embedding_assets.tables.vocabulary import VOCABULARY, count_vocabulary, encode_words


@pytest.fixture
def con():
    with closing(connect(threads=1)) as connection:
        yield connection


def make_corpus(lists):
    return pa.table(
        {
            "conversation_id": pa.array([f"c{i}" for i in range(len(lists))], pa.string()),
            "words": pa.array(lists, pa.list_(pa.string())),
        }
    )


def stable_id(key):
    return int(hashlib.md5(key.encode()).hexdigest()[:15], 16)


def loop_pairs(lists, window):
    """Every two places at most `window` apart, seen from both sides."""
    counts = Counter()
    for words in lists:
        for i, center in enumerate(words):
            for j in range(max(0, i - window), min(len(words), i + window + 1)):
                if i != j:
                    counts[stable_id(center), stable_id(words[j])] += 1
    return sorted((row, col, n) for (row, col), n in counts.items())


def rows_of(table):
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def random_lists(rng, conversations, vocabulary, longest):
    return [[f"w{i}" for i in rng.integers(vocabulary, size=rng.integers(longest))] for _ in range(conversations)]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_pairs_match_a_plain_loop(con, rng, window):
    lists = random_lists(rng, 60, 13, 17)
    table = count_pairs(con, make_corpus(lists), window=window)
    assert table.schema == PAIRS
    assert rows_of(table) == loop_pairs(lists, window)


def test_pairs_end_with_the_conversation(con):
    table = count_pairs(con, make_corpus([["a", "b"], ["c"], [], ["d", "a"]]))
    a, b, d = map(stable_id, "abd")
    assert rows_of(table) == sorted([(a, b, 1), (b, a, 1), (a, d, 1), (d, a, 1)])


def test_a_word_beside_itself_counts_from_both_sides(con):
    assert rows_of(count_pairs(con, make_corpus([["a", "a", "a"]]), window=1)) == [(stable_id("a"),) * 2 + (4,)]


def test_pairs_equal_their_transpose(con, rng):
    table = count_pairs(con, make_corpus(random_lists(rng, 80, 20, 12)))
    assert sorted((col, row, n) for row, col, n in rows_of(table)) == rows_of(table)


def test_pairs_are_the_same_bytes_again_and_with_more_threads(rng):
    corpus = make_corpus(random_lists(rng, 3000, 400, 25))
    tables = []
    for threads in (1, 2, 1, 2):
        with closing(connect(threads=threads)) as con:
            tables.append(count_pairs(con, corpus))
    assert all(table.equals(tables[0]) for table in tables)


@pytest.mark.parametrize("lists", [[], [[]], [["alone"]], [["a"], ["b"]]])
def test_no_two_words_are_no_pairs(con, lists):
    assert count_pairs(con, make_corpus(lists)).equals(PAIRS.empty_table())


def test_a_window_of_nothing_is_refused(con):
    with pytest.raises(ValueError, match="at least 1 word, got 0"):
        count_pairs(con, make_corpus([["a", "b"]]), window=0)


def test_a_slice_of_a_corpus_is_counted_alone(con):
    corpus = make_corpus([["x", "y"], ["a", "b"], ["p", "q"]])
    assert count_pairs(con, corpus.slice(1, 1)).equals(count_pairs(con, make_corpus([["a", "b"]])))


def test_vocabulary_matches_a_plain_count(con, rng):
    lists = random_lists(rng, 50, 30, 9)
    table = count_vocabulary(con, make_corpus(lists))
    assert table.schema == VOCABULARY
    counts = Counter(word for words in lists for word in words)
    conversations = Counter(word for words in lists for word in set(words))
    expected = sorted((stable_id(key), key, n, conversations[key]) for key, n in counts.items())
    assert [(i, key, n, c) for key, i, n, c in rows_of(table)] == expected
    assert all(0 <= i < 2**60 for i in table["id"].to_pylist())


def test_no_words_are_an_empty_vocabulary(con):
    for lists in ([], [[]]):
        assert count_vocabulary(con, make_corpus(lists)).equals(VOCABULARY.empty_table())


def test_hostile_keys_are_only_values(con):
    keys = ["'); DROP TABLE corpus; --", "../x", "a\x00b", "\u202egnirts", "$window", "😀"]
    assert sorted(count_vocabulary(con, make_corpus([keys]))["key"].to_pylist()) == sorted(keys)
    assert count_pairs(con, make_corpus([keys]), window=1).num_rows == 2 * (len(keys) - 1)


def test_two_keys_with_one_id_are_refused(con):
    clash = pa.table({"key": ["a", "b", "c", "c"], "id": [7, 7, 8, 8]})
    with registered(con, {"vocabulary": clash}), pytest.raises(IdCollision, match="7 for 'a' and 'b'"):
        vocabulary_module.refuse_collisions(con)
    with registered(con, {"vocabulary": clash.slice(1)}):
        vocabulary_module.refuse_collisions(con)


def test_encode_words_loses_nothing(rng):
    words = make_corpus(random_lists(rng, 20, 8, 6)).slice(3)["words"]
    codes, keys = encode_words(words)
    named = dict(zip(keys["code"].to_pylist(), keys["key"].to_pylist(), strict=True))
    assert [[named[code] for code in row] for row in codes.to_pylist()] == words.to_pylist()
