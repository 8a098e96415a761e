"""The synthetic Twitter: the same for ever, in every table, with the people and conversations that it claims."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from synthetic_rows import DEMO, SCHEMAS, SMALL, fingerprint, rows, week_at

from embedding_assets.sources.schema import QUARANTINE, week_bounds
from embedding_assets.sources.synthetic import SyntheticTwitter
from embedding_assets.sources.synthetic.draws import Pools, distinct, generator
from embedding_assets.sources.synthetic.lexicon import invent, lexicon
from embedding_assets.sources.synthetic.tweets import week_tweets

# --- a source like any other -------------------------------------------------------------------------


def test_it_has_every_table_and_no_end():
    assert DEMO.tables == frozenset(SCHEMAS)
    assert (DEMO.name, DEMO.first_week, DEMO.last_week) == ("synthetic", "2026-01-05", None)


@pytest.mark.parametrize("index", [0, 5, 300])
@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_table_has_its_schema_in_every_week(name, index):
    batch = SMALL.read(name, week_at(index))
    table = batch.rows
    assert table.schema.equals(SCHEMAS[name])
    table.validate(full=True)
    assert all(table[f.name].null_count == 0 for f in table.schema if not f.nullable)
    assert batch.quarantined.schema.equals(QUARANTINE)
    assert (batch.rows_in, batch.deduplicated, batch.quarantined.num_rows) == (table.num_rows, 0, 0)
    assert table.num_rows > 0


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_rows_are_sorted_by_their_first_columns(name):
    first, second = (rows(name).column(place).to_pylist() for place in (0, 1))
    assert first == sorted(first)
    if name not in ("tweets", "truth_users", "user_metadata", "truth_moved_words"):
        assert list(zip(first, second, strict=True)) == sorted(zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["tweets", "engagements", "follows", "ad_clicks", "site_visits"])
def test_events_lie_inside_their_week(name):
    start, end = week_bounds(week_at(6))
    moments = rows(name, 6)["created_at"].to_pylist()
    assert start <= min(moments)
    assert max(moments) < end
    assert len({moment.date() for moment in moments}) == 7


def test_the_same_bytes_in_another_process_and_in_another_order():
    jobs = [(name, index) for name in sorted(SCHEMAS) for index in (0, 5)]
    here = [fingerprint(SMALL.read(name, week_at(index)).rows) for name, index in jobs]
    program = f"""
import sys; sys.path.insert(0, {str(__file__.rsplit("/", 1)[0])!r})
from test_sources_synthetic import SMALL, fingerprint, week_at
for name, index in reversed({jobs!r}):
    print(fingerprint(SMALL.read(name, week_at(index)).rows))
"""
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split()[::-1] == here
    assert len(set(here)) > len(SCHEMAS)


def test_another_seed_or_week_gives_other_tweets():
    other = SyntheticTwitter(seed=4, users=300, tweets_per_week=700)
    first = rows("tweets", 0, SMALL)["text"].to_pylist()
    assert len(set(first) & set(rows("tweets", 0, other)["text"].to_pylist())) < 20
    assert len(set(first) & set(rows("tweets", 1, SMALL)["text"].to_pylist())) < 20


def test_sizes_follow_the_settings():
    source = SyntheticTwitter(
        users=500,
        tweets_per_week=901,
        follows_per_user=7,
        new_follows_per_user=1.5,
        engagements_per_tweet=2,
        visits_per_user=3,
        clicks_per_user=0.5,
        bot_share=0.1,
    )
    sizes = {name: rows(name, 1, source).num_rows for name in SCHEMAS}
    assert sizes["tweets"] == 901
    assert sizes["engagements"] == 1802
    assert (sizes["follows"], rows("follows", 0, source).num_rows) == (750, 3500)
    assert (sizes["site_visits"], sizes["ad_clicks"]) == (1500, 250)
    assert sizes["truth_users"] == 500
    assert sum(rows("truth_users", 0, source)["is_bot"].to_pylist()) == 50


def test_a_week_may_be_empty_and_a_world_without_bots():
    source = SyntheticTwitter(users=100, tweets_per_week=0, bot_share=0, clicks_per_user=0)
    for name in ("tweets", "engagements", "ad_clicks"):
        table = rows(name, 2, source)
        assert table.num_rows == 0
        assert table.schema.equals(SCHEMAS[name])
    full = SyntheticTwitter(users=100, tweets_per_week=50, bot_share=0)
    assert rows("engagements", 0, full).num_rows > 100
    assert not any(rows("truth_users", 0, full)["is_bot"].to_pylist())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", -1),
        ("users", 99),
        ("users", 2000.0),
        ("tweets_per_week", -1),
        ("tweets_per_week", True),
        ("bot_share", 0.6),
        ("bot_share", float("nan")),
        ("move_week_index", "4"),
        ("follows_per_user", 0),
        ("new_follows_per_user", -0.5),
        ("engagements_per_tweet", float("inf")),
        ("visits_per_user", -1),
        ("portal_share", 1.1),
        ("clicks_per_user", None),
        ("first_week", "2026-01-06"),
        ("first_week", "January"),
        ("first_week", "2001-01-01"),
        ("first_week", 20260105),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(field, value):
    with pytest.raises(ValueError, match=rf"SyntheticTwitter\.{field}\b.*{re.escape(str(value))}"):
        SyntheticTwitter(**{field: value})


def test_what_cannot_be_read_is_said():
    with pytest.raises(ValueError, match="2025-12-29 is before the first week 2026-01-05"):
        DEMO.read("tweets", "2025-12-29")
    with pytest.raises(ValueError, match="2026-01-07"):
        DEMO.read("tweets", "2026-01-07")
    with pytest.raises(ValueError, match=r"no table 'likes'.*engagements"):
        DEMO.read("likes", "2026-01-05")


# --- draws -------------------------------------------------------------------------------------------


def test_pools_draw_by_weight_and_know_empty_groups(rng):
    groups, items = np.array([2, 0, 2, 2]), np.array([7, 8, 9, 10])
    pools = Pools(groups, items, np.array([3.0, 1.0, 1.0, 0.0]), size=4)
    drawn = pools.draw(np.repeat([0, 1, 2, 3, -1], 4000), rng).reshape(5, 4000)
    assert set(drawn[0]) == {8}
    assert set(drawn[[1, 3, 4]].ravel()) == {-1}
    assert set(drawn[2]) == {7, 9}
    assert np.mean(drawn[2] == 7) == pytest.approx(0.75, abs=0.03)
    assert Pools(items[:0], items[:0], items[:0], size=2).draw(np.array([0, 1]), rng).tolist() == [-1, -1]


def test_distinct_equals_numpy_unique(rng):
    codes = rng.integers(0, 50, 200)
    np.testing.assert_array_equal(distinct(codes), np.unique(codes))
    assert len(distinct(codes[:0])) == 0


def test_generators_differ_by_seed_week_and_purpose():
    first = {generator(*key).integers(2**60) for key in [(0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b")]}
    assert len(first) == 4


def test_invented_words_are_all_different_and_never_real():
    for language in lexicon().languages:
        if language.syllables:
            words = {invent(n, language=language, syllables=3, seed=0) for n in range(2000)}
            assert len(words) == 2000
            assert not words & lexicon().written


# --- conversations -----------------------------------------------------------------------------------


def test_replies_resolve_to_earlier_tweets_of_their_conversation():
    tweets = rows("tweets").to_pylist()
    by_id = {tweet["tweet_id"]: tweet for tweet in tweets}
    assert len(by_id) == len(tweets)
    replies = [tweet for tweet in tweets if tweet["in_reply_to"]]
    for reply in replies:
        parent = by_id[reply["in_reply_to"]]
        assert parent["created_at"] <= reply["created_at"]
        assert int(parent["tweet_id"]) < int(reply["tweet_id"])
        if reply["conversation_id"] and parent["conversation_id"]:
            assert reply["conversation_id"] == parent["conversation_id"]
            assert by_id[reply["conversation_id"]]["in_reply_to"] is None
    assert 0.4 < len(replies) / len(tweets) < 0.65
    unrecorded = sum(reply["conversation_id"] is None for reply in replies) / len(replies)
    assert 0.08 < unrecorded < 0.25
    assert np.mean([reply["user_id"] != by_id[reply["in_reply_to"]]["user_id"] for reply in replies]) > 0.6


def test_a_conversation_stays_mostly_on_topic_and_in_its_language():
    tweets = week_tweets(DEMO, 0)
    reply = tweets.parent >= 0
    same = tweets.topic[reply] == tweets.topic[tweets.root[reply]]
    assert 0.9 < same.mean() < 0.99
    assert (tweets.language[reply] == tweets.language[tweets.root[reply]]).all()
    sizes = np.bincount(tweets.root)
    sizes = sizes[sizes > 0]
    assert 0.4 < np.mean(sizes == 1) < 0.8
    assert sizes.max() > 8


def test_ids_carry_their_time():
    tweets = rows("tweets")
    millis = (np.array(tweets["tweet_id"].to_pylist(), dtype=np.int64) >> 22) + 1_288_834_974_657
    expected = tweets["created_at"].cast(pa.int64()).to_numpy() // 1000
    np.testing.assert_array_equal(millis, expected)


# --- people ------------------------------------------------------------------------------------------


@cache
def topics_of():
    found = defaultdict(set)
    for row in rows("user_topics").to_pylist():
        found[row["user_id"]].add(row["topic"])
    return found


def test_users_care_for_one_to_four_topics_and_their_community_s_first():
    users = rows("truth_users").to_pylist()
    for user in users:
        topics = topics_of().get(user["user_id"], set())
        if user["is_bot"]:
            assert not topics
            assert user["community"] == "bots"
        else:
            assert user["community"].split("-")[0] in topics
            assert 1 <= len(topics) <= 4
    assert Counter(map(len, topics_of().values())).keys() == {1, 2, 3, 4}
    assert len({user["community"] for user in users}) == 25


def test_users_tweet_about_what_they_care_for():
    names = [topic.name for topic in lexicon().topics]
    ids = rows("truth_users")["user_id"].to_pylist()
    tweets = week_tweets(DEMO, 0)
    real = np.flatnonzero(tweets.topic >= 0)
    fits = [names[tweets.topic[i]] in topics_of()[ids[tweets.author[i]]] for i in real]
    assert np.mean(fits) > 0.95


def test_follows_form_communities_with_a_long_tail_of_popularity():
    edges = rows("follows")
    pairs = set(zip(edges["src"].to_pylist(), edges["dst"].to_pylist(), strict=True))
    assert len(pairs) == edges.num_rows
    assert not any(src == dst for src, dst in pairs)
    users = {row["user_id"]: row for row in rows("truth_users").to_pylist()}
    people = [(s, d) for s, d in pairs if not users[s]["is_bot"]]
    assert np.mean([users[s]["community"] == users[d]["community"] for s, d in people]) > 0.4
    popular = Counter(dst for _, dst in pairs)
    counts = sorted(popular.values(), reverse=True)
    assert sum(counts[:20]) > 0.08 * len(pairs)  # one user in a hundred
    is_producer = [users[user]["is_producer"] for user, _ in popular.most_common(60)]
    assert np.mean(is_producer) > 0.9
    assert sum(row["is_producer"] for row in users.values()) == 100
    later = rows("follows", 3)
    assert not pairs & set(zip(later["src"].to_pylist(), later["dst"].to_pylist(), strict=True))


def test_engagements_follow_tweets_interest_and_follows():
    table = rows("engagements").to_pylist()
    tweets = {tweet["tweet_id"]: tweet for tweet in rows("tweets").to_pylist()}
    for row in table:
        assert tweets[row["tweet_id"]]["user_id"] == row["producer_id"]
        assert tweets[row["tweet_id"]]["created_at"] <= row["created_at"]
    assert {row["weight"] for row in table} == {1.0}
    kinds = Counter(row["kind"] for row in table)
    assert kinds["like"] > 2 * kinds["retweet"] > 0
    assert kinds["reply"] == sum(tweet["in_reply_to"] is not None for tweet in tweets.values())
    chosen = [row for row in table if row["kind"] != "reply"]
    assert all(row["user_id"] != row["producer_id"] for row in chosen)
    keys = [(row["user_id"], row["tweet_id"], row["kind"]) for row in chosen]
    assert len(keys) == len(set(keys))


def test_likes_come_from_followers_and_from_bots():
    follows = set(zip(*(rows("follows")[c].to_pylist() for c in ("src", "dst")), strict=True))
    bots = {row["user_id"] for row in rows("truth_users").to_pylist() if row["is_bot"]}
    likes = [row for row in rows("engagements").to_pylist() if row["kind"] == "like"]
    by_bots = np.mean([row["user_id"] in bots for row in likes])
    assert 0.08 < by_bots < 0.2  # from one user in a hundred
    human = [row for row in likes if row["user_id"] not in bots]
    assert np.mean([(row["user_id"], row["producer_id"]) in follows for row in human]) > 0.4
    shared = [bool(topics_of()[row["user_id"]] & topics_of()[row["producer_id"]]) for row in human]
    assert np.mean(shared) > 0.8


def test_visits_and_clicks_follow_interests():
    owner = {word: topic.name for topic in lexicon().topics for word in topic.words["en"]}
    visits = rows("site_visits").to_pylist()
    signed_in = [row for row in visits if row["user_id"]]
    assert 0.6 < len(signed_in) / len(visits) < 0.8
    on_topic = [
        owner[row["domain"].split("-")[0]] in topics_of()[row["user_id"]] for row in signed_in if "-" in row["domain"]
    ]
    assert np.mean(on_topic) > 0.99
    assert 0.17 < len(on_topic) / len(signed_in) < 0.23
    browsers = defaultdict(set)
    for row in visits:
        browsers[row["browser_id"]].add(row["user_id"])
    assert all(len(users) == 1 for users in browsers.values())
    clicks = rows("ad_clicks").to_pylist()
    fits = [row["ad_id"].split("-")[1] in topics_of()[row["user_id"]] for row in clicks]
    assert 0.8 < np.mean(fits) < 0.98


def test_portals_take_the_share_that_is_asked_for():
    for share in (0.0, 1.0):
        visits = rows("site_visits", 0, SyntheticTwitter(users=100, tweets_per_week=10, portal_share=share))
        portals = [domain for domain in visits["domain"].to_pylist() if "-" not in domain]
        assert len(portals) == share * visits.num_rows


def test_attributes_depend_on_the_community_but_not_only_on_it():
    community = {row["user_id"]: row["community"] for row in rows("truth_users").to_pylist()}
    gains = {}
    for attribute in ("age_bucket", "country", "device"):
        groups, everyone = defaultdict(Counter), Counter()
        for row in rows("user_metadata").to_pylist():
            if row["attribute"] == attribute:
                groups[community[row["user_id"]]][row["value"]] += 1
                everyone[row["value"]] += 1
        hits = sum(max(counts.values()) for counts in groups.values()) / everyone.total()
        gains[attribute] = hits - max(everyone.values()) / everyone.total()
        assert 0.85 * DEMO.users < everyone.total() < 0.95 * DEMO.users
        assert hits < 0.8
    assert gains["age_bucket"] > 0.1
    assert gains["country"] > 0.1
    assert gains["device"] > 0.03
