"""Phrases by NPMI, against counting by hand."""

import math
from collections import Counter, defaultdict
from contextlib import closing

import pyarrow as pa
import pytest

from embedding_assets.tables.engine import connect
from embedding_assets.tables.phrases import PHRASES, find_phrases


@pytest.fixture
def con():
    with closing(connect(threads=1)) as connection:
        yield connection


def make_tokens(rows):
    return pa.table(
        {
            "user_id": pa.array([user for user, _ in rows], pa.string()),
            "words": pa.array([text.split() for _, text in rows], pa.list_(pa.string())),
        }
    )


def loop_phrases(rows, min_count, min_authors, min_npmi):
    """Phrases of two and three words as {phrase: (count, authors, npmi)}, by dictionaries."""
    lists = [(user, text.split()) for user, text in rows]
    totals = Counter(word for _, words in lists for word in words)
    corpus = sum(totals.values())
    found = {}
    for size in (2, 3):
        counts, authors = Counter(), defaultdict(set)
        for user, words in lists:
            for i in range(len(words) - size + 1):
                gram = tuple(words[i : i + size])
                counts[gram] += 1
                authors[gram].add(user)
        for gram, n in counts.items():
            if n < min_count or len(authors[gram]) < min_authors or (size == 2 and gram[0] == gram[1]):
                continue
            halves = [(gram[:1], gram[1:]), (gram[:-1], gram[-1:])]
            known = [
                [found[half][0] if len(half) > 1 else totals[half[0]] for half in pair]
                for pair in halves
                if all(len(half) == 1 or half in found for half in pair)
            ]
            scores = [math.log(n * corpus / (a * b)) / math.log(corpus / n) for a, b in known]
            if scores and max(scores) >= min_npmi:
                found[gram] = (n, len(authors[gram]), max(scores))
    return {" ".join(gram): facts for gram, facts in found.items()}


@pytest.mark.parametrize("min_npmi", [-1.0, 0.0, 0.1])
def test_phrases_match_a_plain_count(con, rng, min_npmi):
    noise = [" ".join(f"w{i}" for i in rng.zipf(1.7, size=6) % 8) for _ in range(200)]
    rows = [(f"u{rng.integers(9)}", text + " x y w1 z" * (rng.random() < 0.2)) for text in noise]
    table = find_phrases(con, make_tokens(rows), min_count=6, min_authors=4, min_npmi=min_npmi)
    assert table.schema == PHRASES
    expected = loop_phrases(rows, 6, 4, min_npmi)
    assert len(expected) > 3
    assert table["phrase"].to_pylist() == sorted(expected)
    for row in table.to_pylist():
        count, authors, npmi = expected[row["phrase"]]
        assert (row["count"], row["authors"], row["words"]) == (count, authors, row["phrase"].split())
        assert row["npmi"] == pytest.approx(npmi, abs=1e-12)


def planted(rng):
    """Tweets of 12 users with "new york city" in every fourth, in a text of function words."""
    filler = ["of", "the", "a", "in", "we", "to", "it", "is"]
    rows = []
    for i in range(400):
        words = list(rng.choice(filler, size=8))
        if i % 4 == 0:
            words[3:3] = ["new", "york", "city"]
        rows.append((f"u{i // 4 % 12}", " ".join(words)))
    return rows


def test_planted_phrases_are_found_and_function_words_are_not(con, rng):
    phrases = find_phrases(con, make_tokens(planted(rng)))["phrase"].to_pylist()
    assert phrases == ["new york", "new york city", "york city"]
    assert find_phrases(con, make_tokens(planted(rng)), max_words=2)["phrase"].to_pylist() == ["new york", "york city"]


def test_what_a_few_bots_repeat_is_no_phrase(con, rng):
    spam = [(f"bot{i % 4}", "buy cheap pills now") for i in range(2000)]
    tokens = make_tokens(planted(rng) + spam)
    assert not any("cheap" in phrase for phrase in find_phrases(con, tokens, min_authors=5)["phrase"].to_pylist())
    assert any("cheap" in phrase for phrase in find_phrases(con, tokens, min_authors=4)["phrase"].to_pylist())


def test_emoji_side_by_side_are_no_phrase(con):
    rows = [(f"u{i}", f"😂 🔥 w{i} hot take") for i in range(50)]
    assert find_phrases(con, make_tokens(rows))["phrase"].to_pylist() == ["hot take"]


def test_a_phrase_fits_the_longest_key(con):
    rows = [(f"u{i}", f"{'ж' * 64} {'ш' * 64} x{i} {'q' * 64} {'z' * 64}") for i in range(20)]
    assert find_phrases(con, make_tokens(rows))["phrase"].to_pylist() == ["q" * 64 + " " + "z" * 64]


@pytest.mark.parametrize("rows", [[], [("u", "")], [("u", "one")]])
def test_few_words_are_no_phrases(con, rows):
    assert find_phrases(con, make_tokens(rows), min_count=1, min_authors=1).equals(PHRASES.empty_table())


def test_more_than_three_words_are_refused(con):
    with pytest.raises(ValueError, match="2 or 3, got 4"):
        find_phrases(con, make_tokens([]), max_words=4)


def test_phrases_are_the_same_with_more_threads(rng):
    tokens = make_tokens(planted(rng))
    tables = []
    for threads in (1, 2):
        with closing(connect(threads=threads)) as con:
            tables.append(find_phrases(con, tokens, min_npmi=-1))
    assert tables[0].num_rows > 50
    assert tables[1].equals(tables[0])
