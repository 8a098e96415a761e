"""Figure 1: which share of the most frequent tokens was among the most frequent before."""

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.drift.figures import overlap_png
from embedding_assets.sources.schema import shift_week
from embedding_assets.sources.select import open_source
from embedding_assets.tables.engine import connect
from embedding_assets.tables.overlap import KINDS, OVERLAP, TOP_TOKENS, token_overlap, top_tokens
from embedding_assets.text.tokens import TOKENS, tokenize

NOW, BEFORE, OLD = "2026-02-02", "2026-01-26", "2026-01-05"


@pytest.fixture(scope="module")
def con():
    with connect(threads=2) as connection:
        yield connection


def tweets(words, lang="en", **entities):
    """One tweet with these words, and whatever else."""
    row = {"words": words.split(), "hashtags": [], "mentions": [], "cashtags": [], "domains": [], "lang": lang}
    return row | {name: value.split() for name, value in entities.items()}


def week_of(*rows):
    return pa.Table.from_pylist([{**dict.fromkeys(TOKENS.names), **row} for row in rows], TOKENS)


def listed(table, kind="word"):
    return [row["token"] for row in table.to_pylist() if row["kind"] == kind and row["listed"]]


def test_the_most_frequent_of_each_kind_in_order(con):
    table = top_tokens(con, week_of(tweets("a b b c c c", hashtags="x", domains="s.com"), tweets("c", lang="ru")), k=2)
    assert table.schema == TOP_TOKENS
    assert listed(table) == ["c", "b"]
    assert listed(table, "hashtag") == ["x"]
    assert listed(table, "site") == ["s.com"]
    counts = {(row["kind"], row["token"]): row["count"] for row in table.to_pylist()}
    assert (counts["word", "c"], counts["english word", "c"]) == (4, 3)


def test_ties_for_the_last_place_are_kept_and_marked(con):
    table = top_tokens(con, week_of(tweets("a a z y x")), k=2)
    rows = {row["token"]: (row["listed"], row["tied"]) for row in table.to_pylist() if row["kind"] == "word"}
    assert rows == {"a": (True, False), "x": (True, True), "y": (False, True), "z": (False, True)}


def test_a_tie_inside_the_list_decides_nothing(con):
    table = top_tokens(con, week_of(tweets("a a z z y")), k=2)
    assert [row["tied"] for row in table.to_pylist() if row["kind"] == "word"] == [False, False]


def test_lists_match_a_plain_count(con, rng):
    drawn = [f"w{number}" for number in rng.zipf(1.5, 3000) if number < 400]
    table = top_tokens(con, week_of(tweets(" ".join(drawn))), k=50)
    plain = sorted(Counter(drawn).items(), key=lambda item: (-item[1], item[0]))[:50]
    assert listed(table) == [token for token, _ in plain]


def overlap_of(con, now, before, k):
    weeks = {NOW: top_tokens(con, week_of(tweets(now)), k=k), BEFORE: top_tokens(con, week_of(tweets(before)), k=k)}
    [row] = [row for row in token_overlap(con, weeks, NOW, k).to_pylist() if row["kind"] == "word"]
    return row


def test_the_share_is_of_this_weeks_list(con):
    row = overlap_of(con, "a a b b c c d d", "a a b b", k=4)
    assert (row["kept"], row["listed"], row["listed_then"], row["share"]) == (2, 4, 2, 0.5)
    assert row["weeks_back"] == 1
    assert row["week_then"] == BEFORE
    assert "only 2 of 4 words" in row["remark"]


def test_ties_are_averaged_over_every_way_to_break_them(con):
    now, before = "a a a b b b x y z u", "a a a y y y z w x"
    row = overlap_of(con, now, before, k=4)
    lists = [
        [{*sure, *tied} for tied in combinations(border, places)]
        for sure, border, places in ((["a", "b"], "xyzu", 2), (["a", "y"], "zwx", 2))
    ]
    every = [len(ours & theirs) for ours in lists[0] for theirs in lists[1]]
    assert row["share_if_drawn"] == pytest.approx(np.mean(every) / 4)
    assert (row["tied"], row["tied_then"]) == (4, 3)
    assert row["share"] == 2 / 4  # a b u x and a w x y by the alphabet


def test_missing_weeks_are_said_and_are_no_zeros(con):
    weeks = {week: top_tokens(con, week_of(tweets("a b")), k=2) for week in (NOW, OLD)}
    table = token_overlap(con, weeks, NOW, k=2)
    assert table.schema == OVERLAP
    rows = [row for row in table.to_pylist() if row["kind"] == "word"]
    assert [row["share"] for row in rows] == [None, None, None, 1.0]
    assert [row["remark"] for row in rows[:3]] == [f"the week 2026-01-{day} is missing" for day in (26, 19, 12)]


def test_later_weeks_and_a_first_week_alone_give_no_rows(con):
    weeks = {week: top_tokens(con, week_of(tweets("a b")), k=2) for week in (NOW, OLD)}
    assert token_overlap(con, weeks, OLD, k=2).num_rows == 0


def test_a_week_without_a_kind_has_no_share(con):
    weeks = {NOW: top_tokens(con, week_of(tweets("a")), k=2), BEFORE: top_tokens(con, week_of(tweets("b")), k=2)}
    rows = {row["kind"]: row for row in token_overlap(con, weeks, NOW, k=2).to_pylist()}
    assert rows["word"]["share"] == 0
    assert rows["site"]["share"] is None
    assert rows["site"]["remark"] == f"no site in this week or in {BEFORE}"


def test_a_week_of_a_tenth_of_the_volume_is_said(con):
    row = overlap_of(con, "a b", " ".join(["a b"] * 10), k=2)
    assert row["share"] == 1.0
    assert row["remark"] == f"this week's list was used 0.1 times as often as that of {BEFORE}"


def test_a_list_has_at_least_one_place(con):
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        top_tokens(con, week_of(), k=0)


def test_the_picture_takes_gaps():
    rows = [{"kind": "word", "weeks_back": back, "share": share} for back, share in ((1, 0.5), (2, None), (4, 0.3))]
    assert overlap_png(rows, KINDS, NOW).startswith(b"\x89PNG")
    assert overlap_png([], KINDS, NOW).startswith(b"\x89PNG")


#: Means over all pairs of weeks 2015 to 2016-06, in percent, made by hand with other regular expressions.
BY_HAND = {
    "mention": (18.1, 12.9, 3.0),
    "hashtag": (29.4, 23.3, 5.5),
    "word": (54.3, 50.3, 43.5),
    "english word": (55.6, 53.3, 47.0),
}


@pytest.mark.slow
def test_the_real_tweets_drift_as_counted_by_hand(real_data, con, tmp_path):
    source = open_source({"EMBEDDINGS_SOURCE": str(real_data / "tweets.toml")}, tmp_path)
    lists, week = {}, source.first_week
    while week <= source.last_week:
        lists[week] = top_tokens(con, tokenize(source.read("tweets", week).rows))
        week = shift_week(week, 1)
    shares = {}
    for week in lists:
        near = {then: lists[then] for back in (0, 1, 4, 52) if (then := shift_week(week, -back)) in lists}
        for row in token_overlap(con, near, week).to_pylist():
            if row["share"] is not None:
                shares.setdefault((row["kind"], row["weeks_back"]), []).append(100 * row["share"])
    for kind, by_hand in BY_HAND.items():
        found = [np.mean(shares[kind, back]) for back in (1, 4, 52)]
        assert found == pytest.approx(by_hand, abs=3.5), kind
