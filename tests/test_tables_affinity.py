"""Triples become weekly graphs and the table that trainers take; what makes the triples, against plain loops."""

from collections import Counter, defaultdict
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from embedding_assets.embeddings.consumer_producer import engagement_triples
from embedding_assets.embeddings.tfw_producer import domain_producer_triples
from embedding_assets.embeddings.user_mention import mention_triples
from embedding_assets.tables.affinity import (
    AFFINITIES,
    SIDE,
    affinity_table,
    destination_counts,
    source_counts,
    sum_triples,
)
from embedding_assets.tables.engine import connect
from embedding_assets.tables.errors import InvalidTriples
from embedding_assets.tables.producers import PRODUCERS, find_producers
from embedding_assets.tables.vocabulary import stable_ids


@pytest.fixture
def con():
    with closing(connect(threads=1)) as connection:
        yield connection


def triples_of(sources, destinations, weights):
    columns = [pa.array(sources, pa.string()), pa.array(destinations, pa.string()), pa.array(weights, pa.float64())]
    return pa.table(columns, ["source", "destination", "weight"])


def summed(triples):
    """{(source, destination): weight} by a plain loop."""
    found = Counter()
    for row in triples.to_pylist():
        found[row["source"], row["destination"]] += row["weight"]
    return dict(found)


def test_equal_pairs_are_summed_like_a_plain_loop(rng):
    sources, destinations = (rng.choice(list(letters), 300).tolist() for letters in ("abcde", "uvwxyz"))
    weights = rng.integers(1, 9, 300)
    expected = Counter()
    for source, destination, weight in zip(sources, destinations, weights.tolist(), strict=True):
        expected[source, destination] += weight
    table = affinity_table(sources, destinations, weights, rows="user", columns="ad")
    rows, columns = table.rows.keys.to_pylist(), table.columns.keys.to_pylist()
    found = zip(table.row_ids, table.col_ids, table.counts, strict=True)
    assert {(rows[i], columns[j]): n for i, j, n in found} == expected
    assert (rows[0], columns[0]) == (sources[0], destinations[0])
    np.testing.assert_allclose(
        table.rows.counts, [sum(n for (s, _), n in expected.items() if s == row) for row in rows]
    )
    assert (table.rows.entity, table.columns.entity) == ("user", "ad")


def test_arrow_in_chunks_and_nothing_at_all():
    chunked = pa.chunked_array([["a"], ["b", "a"]])
    table = affinity_table(chunked, chunked, rows="user", columns="user")
    assert table.counts.tolist() == [2.0, 1.0]
    assert len(affinity_table([], [], rows="user", columns="ad")) == 0


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ((["a"], ["x", "y"], None), "differ in length"),
        ((["a", None], ["x", "y"], None), "1 of 2 keys are null; the first in row 1"),
        ((["a", "b"], ["x", "y"], [1.0, 0.0]), r"weights\[1\] is 0.0"),
        ((["a", "b"], ["x", "y"], [np.nan, 1.0]), r"weights\[0\] is nan"),
    ],
)
def test_wrong_triples_are_refused(triples, message):
    with pytest.raises(InvalidTriples, match=message):
        affinity_table(*triples, rows="user", columns="ad")


@pytest.fixture
def triples(rng):
    sources, destinations = (rng.choice([f"{side}{i}" for i in range(9)], 400).tolist() for side in "sd")
    return triples_of(sources, destinations, rng.integers(1, 2**20, 400) / 2**18)


def test_a_week_is_summed_like_a_plain_loop_under_stable_ids(con, triples):
    week = sum_triples(con, triples)
    assert week.schema.equals(AFFINITIES)
    rows = week.to_pylist()
    assert {(row["source"], row["destination"]): row["count"] for row in rows} == summed(triples)
    assert [(row["row_id"], row["col_id"]) for row in rows] == sorted((row["row_id"], row["col_id"]) for row in rows)
    for count, column, place in ((source_counts, "source", 0), (destination_counts, "destination", 1)):
        side = count(con, week)
        expected = Counter()
        for pair, weight in summed(triples).items():
            expected[pair[place]] += weight
        assert side.schema.equals(SIDE)
        assert dict(zip(side["key"].to_pylist(), side["count"].to_pylist(), strict=True)) == expected
        ids = {row["key"]: row["id"] for row in stable_ids(con, triples[column]).to_pylist()}
        assert dict(zip(side["key"].to_pylist(), side["id"].to_pylist(), strict=True)) == ids


def test_sums_are_the_same_bytes_in_any_order_and_with_more_threads(con, rng):
    # Thirds have no end in binary: added up as they are, their sum would depend on the order.
    pairs = triples_of(["a"] * 5000, rng.choice(["x", "y"], 5000).tolist(), rng.random(5000) / 3)
    shuffled = pairs.take(pa.array(rng.permutation(5000)))
    with closing(connect(threads=4)) as parallel:
        assert sum_triples(con, pairs).equals(sum_triples(parallel, shuffled))


def test_no_triples_are_an_empty_week(con):
    week = sum_triples(con, triples_of([], [], []))
    assert (week.num_rows, week.schema) == (0, AFFINITIES)
    assert source_counts(con, week).equals(SIDE.empty_table())


def test_a_weight_too_small_for_the_steps_still_counts(con):
    assert sum_triples(con, triples_of(["a"], ["x"], [1e-30]))["count"].to_pylist() == [2**-24]


@pytest.mark.parametrize(
    ("weight", "said"),
    [(0.0, "is 0.0"), (-1.0, "is -1.0"), (np.nan, "is nan"), (np.inf, "is inf"), (1e12, "at most 5.3"), (None, "null")],
)
def test_a_week_with_an_impossible_weight_is_refused(con, weight, said):
    with pytest.raises(InvalidTriples, match=said):
        sum_triples(con, triples_of(["a", "b"], ["x", "y"], [1.0, weight]))


def test_a_week_with_a_null_key_is_refused(con):
    with pytest.raises(InvalidTriples, match="1 of 2 keys are null; the first in row 1"):
        sum_triples(con, triples_of(["a", "b"], ["x", None], [1.0, 1.0]))


# --- producers ---------------------------------------------------------------------------------------


def follow_weeks(*weeks):
    """Week -> dataset of (src, dst)."""
    return {
        f"2026-01-{5 + 7 * at:02}": ds.dataset(pa.table({"src": [a for a, _ in week], "dst": [b for _, b in week]}))
        for at, week in enumerate(weeks)
    }


def test_producers_have_many_followers_and_relatively_many(con):
    star = [(f"u{i}", "star") for i in range(5)]
    eager = [(f"u{i}", "eager") for i in range(5)] + [("eager", f"u{i}") for i in range(5)] + [("eager", "star")]
    again = [("u0", "star"), ("star", "star"), ("u0", "small")]
    table = find_producers(con, follow_weeks(star, eager, again), min_followers=3, min_ratio=1.0)
    assert table.schema.equals(PRODUCERS)
    found = {row["key"]: (row["followers"], row["following"], row["is_producer"]) for row in table.to_pylist()}
    assert found["star"] == (6, 0, True)  # the second follow of u0 and the one of itself are no followers
    assert found["eager"] == (5, 6, False)
    assert found["small"] == (1, 0, False)
    assert found["u0"] == (1, 3, False)
    low = find_producers(con, follow_weeks(star, eager), min_followers=1, min_ratio=0.8)
    assert {row["key"] for row in low.to_pylist() if row["is_producer"]} == {"star", "eager"}


def test_without_a_follow_graph_nobody_is_known(con):
    for nothing in (None, follow_weeks([])):
        table = find_producers(con, nothing, min_followers=1, min_ratio=1.0)
        assert table.equals(PRODUCERS.empty_table())


# --- triples -----------------------------------------------------------------------------------------


def engagements_of(*rows):
    names = ("user_id", "producer_id", "kind", "weight")
    table = pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])
    return table.set_column(3, "weight", table["weight"].cast(pa.float32()))


def test_engagements_weigh_by_kind_up_to_a_cap_and_leave_ordinary_accounts_out(con):
    known = {"key": ["star", "ordinary"], "followers": [9, 1], "following": [0, 5], "is_producer": [True, False]}
    producers = pa.table(known, PRODUCERS)
    engagements = engagements_of(
        ("a", "star", "like", 1.0),
        ("a", "star", "retweet", 3.0),
        ("a", "star", "reply", 1.0),
        ("a", "ordinary", "like", 1.0),
        ("b", "item", "like", 1e9),
        ("b", "item", "like", None),
    )
    found = engagement_triples(con, engagements, producers, {"like": 1.0, "retweet": 2.0}, max_weight=100.0)
    assert summed(found) == {("a", "star"): 7.0, ("b", "item"): 101.0}


def test_a_cap_hides_no_weight_that_is_not_finite(con):
    engagements = engagements_of(("a", "star", "like", float("nan")))
    triples = engagement_triples(con, engagements, PRODUCERS.empty_table(), {"like": 1.0}, max_weight=100.0)
    with pytest.raises(InvalidTriples, match="nan"):
        sum_triples(con, triples)


def test_mentions_count_tweets_and_not_oneself(con):
    tokens = pa.table(
        {"user_id": ["Ann", "Ann", "bob"], "mentions": [["bob", "bob", "ann"], ["bob"], []]},
        pa.schema([("user_id", pa.string()), ("mentions", pa.list_(pa.string()))]),
    )
    assert summed(mention_triples(con, tokens, max_tweets=20)) == {("Ann", "bob"): 2.0}
    assert summed(mention_triples(con, tokens, max_tweets=1)) == {("Ann", "bob"): 1.0}


@pytest.fixture
def surfing(rng):
    """Visits (key, feature, weight), two weeks of follows, and producers: 12 users, 7 domains, 5 accounts."""
    visits = {(f"u{u}", f"d{d}"): float(w) for u, d, w in rng.integers([0, 0, 1], [12, 7, 9], (60, 3))}
    keys, features = zip(*visits, strict=True)
    bags = pa.table({"key": keys, "feature": features, "weight": list(visits.values())})
    edges = [[(f"u{u}", f"p{p}") for u, p in rng.integers(0, [12, 5], (20, 2))] for _ in range(2)]
    rows = [{"key": f"p{p}", "followers": 9, "following": 1, "is_producer": p != 0} for p in range(5)]
    return visits, bags, edges, pa.Table.from_pylist(rows, PRODUCERS)


def test_domains_meet_the_producers_that_their_visitors_follow(con, surfing):
    visits, bags, edges, producers = surfing
    expected = defaultdict(float)
    for user, domain in visits:
        for source, producer in {edge for week in edges for edge in week}:
            if source == user and producer != "p0":
                expected[domain, producer] += visits[user, domain]
    found = domain_producer_triples(con, bags, follow_weeks(*edges), producers, max_domains=99, max_producers=99)
    assert summed(found) == expected


def test_one_user_brings_only_so_many_domains_and_producers(con, surfing):
    _, _, _, producers = surfing
    bot = {
        "key": ["bot"] * 50,
        "feature": [f"d{i:02}" for i in range(50)],
        "weight": [1.0 + i // 25 for i in range(50)],
    }
    edges = [("bot", f"p{p}") for p in range(1, 5)]
    found = domain_producer_triples(con, pa.table(bot), follow_weeks(edges), producers, max_domains=10, max_producers=2)
    domains = set(found["source"].to_pylist())
    assert len(domains) == 10
    assert domains <= {f"d{i:02}" for i in range(25, 50)}  # the most visited
    assert domains != {f"d{i:02}" for i in range(25, 35)}  # of equals not the first of the alphabet
    assert len(set(found["destination"].to_pylist())) == 2
