"""Feature sets that the lake's assets publish by themselves, and the queries behind them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest
from dagster_helpers import RUNS_DAGSTER, pipeline, week

from embedding_assets.features import feature_stages
from embedding_assets.sources.schema import TABLES
from embedding_assets.spec import Features, SpecError

TWEETS = TABLES["tweets"]


def tweet(number, user, day, **more):
    facts = {"tweet_id": str(number), "user_id": user, "created_at": datetime(2026, 1, day, 23, 30, tzinfo=UTC)}
    return facts | {"text": "hi", "lang": None, "conversation_id": None, "in_reply_to": None} | more


def make(name, **tables):
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # days are UTC all the same
        return feature_stages()[f"features/{name}"].make(connection, **tables)


def test_activity_counts_what_each_user_wrote():
    rows = [
        tweet(1, "a", 5),
        tweet(2, "a", 5, conversation_id="1", in_reply_to="1"),
        tweet(3, "b", 6, conversation_id="1", in_reply_to="1"),
        tweet(4, "a", 7, conversation_id="4"),
    ]
    activity = make("user_activity", tweets=pa.Table.from_pylist(rows, TWEETS)).to_pylist()
    assert activity == [
        {"user_id": "a", "tweets": 3, "replies": 1, "conversations": 2, "active_days": 2},
        {"user_id": "b", "tweets": 1, "replies": 1, "conversations": 1, "active_days": 1},
    ]


def test_activity_of_an_empty_week_is_empty():
    assert make("user_activity", tweets=TWEETS.empty_table()).num_rows == 0


def test_topics_are_sorted_and_counted_once():
    pairs = [("b", "jazz"), ("a", "rock"), ("a", "folk"), ("a", "rock")]
    table = pa.Table.from_pylist([{"user_id": user, "topic": topic} for user, topic in pairs], TABLES["user_topics"])
    assert make("user_topics", user_topics=table).to_pylist() == [
        {"user_id": "a", "topics": ["folk", "rock"]},
        {"user_id": "b", "topics": ["jazz"]},
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"entity": "A b"}, "Features.entity must match"),
        ({"entity": "user", "kind": "learned"}, "Features.kind must be one of"),
        ({"entity": "user", "columns": "count"}, "Features.columns must be a tuple"),
    ],
)
def test_wrong_declaration_says_which_field(wrong, message):
    with pytest.raises(SpecError, match=message):
        Features(**wrong)


@RUNS_DAGSTER
class TestPublished:
    @pytest.fixture
    def made(self, tmp_path_factory):
        return pipeline(tmp_path_factory.getbasetemp() / "pipeline")

    def test_registry_serves_what_the_lake_holds(self, made):
        store, lake = made.project.store, made.project.lake
        written = Counter(lake.read("raw/tweets", week(5))["user_id"].to_pylist())
        users = sorted(written)[:20]
        joined = store.features("user", users, ["derived.activity.tweets"])
        assert joined["derived.activity.tweets"].to_pylist() == [written[user] for user in users]

    def test_every_week_is_a_publication_with_its_lineage(self, made):
        (listed,) = made.project.store.feature_sets("word")
        assert (listed.reference, listed.number, listed.week) == ("derived.usage", 6, week(5))
        assert list(listed.columns) == ["count", "conversations"]
        assert listed.lineage.asset == "word/vocabulary"
        assert [up.asset for up in listed.lineage.upstream] == ["word/corpus"]

    def test_past_moment_sees_the_past_week(self, made):
        store = made.project.store
        (third,) = [info for info in store.versions("word/word") if info.week == week(2)]
        counts = defaultdict(int)
        for row in made.project.lake.read("word/vocabulary", week(2)).to_pylist():
            counts[row["key"]] = row["count"]
        words = store["word/word@v3"].keys()[:5].to_pylist()
        joined = store.features("word", words, ["derived.usage.count"], as_of=third.published_at)
        assert joined["derived.usage.count"].to_pylist() == [counts[word] for word in words]
