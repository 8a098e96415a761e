"""Features of entities at a moment: each value is the one that had been published by then."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from registry_samples import D, make_draft

from registry import open_registry
from registry.errors import (
    Corrupt,
    Erased,
    InvalidEmbedding,
    InvalidFeatures,
    InvalidName,
    InvalidQuery,
    SpaceMismatch,
    UnknownEmbedding,
    UnknownFeature,
    UnknownKey,
)
from registry.features import sets as feature_sets
from registry.features.sets import FeatureDraft

WEEKS = ("2026-01-05", "2026-01-12", "2026-01-19")
#: What each week's publication says of `tweets`; u3 is new in the second, u1 is gone in the third.
TWEETS = ({"u1": 1, "u2": 2}, {"u1": 10, "u2": 20, "u3": 30}, {"u2": 200, "u3": 300})


def draft(week=WEEKS[0], tweets=None, **changes):
    counts = TWEETS[0] if tweets is None else tweets
    facts = {
        "entity": "user",
        "kind": "derived",
        "name": "activity",
        "table": pa.table(
            {
                "user_id": pa.array(list(counts), pa.string()),
                "tweets": pa.array(list(counts.values()), pa.int64()),
                "lang": pa.array(["en"] * len(counts), pa.string()),
            }
        ),
        "key": "user_id",
        "week": week,
    }
    return FeatureDraft(**(facts | changes))


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


@pytest.fixture
def published(store):
    return [store.publish_features(draft(week, tweets)) for week, tweets in zip(WEEKS, TWEETS, strict=True)]


def at(publication):
    return dt.datetime.fromisoformat(publication.published_at)


def tweets_of(store, rows, as_of=None, **more):
    return store.features("user", rows, ["derived.activity.tweets"], as_of=as_of, **more)[
        "derived.activity.tweets"
    ].to_pylist()


def test_newest_value_of_each_key(store, published):
    assert tweets_of(store, ["u3", "u2", "nobody"]) == [300, 200, None]


def test_each_row_sees_what_was_published_by_its_moment(store, published):
    moments = [at(published[0]) - dt.timedelta(microseconds=1), *map(at, published)]
    rows = pa.table({"user": ["u2"] * 4, "ts": pa.array(moments, pa.timestamp("us", tz="UTC"))})
    assert tweets_of(store, rows, as_of="ts") == [None, 2, 20, 200]


def test_join_matches_a_plain_loop(store, published, rng):
    moments = [at(published[0]) + dt.timedelta(microseconds=int(n)) for n in rng.integers(-50, 50_000, 200)]
    keys = rng.choice(["u1", "u2", "u3", "u4"], 200).tolist()
    rows = pa.table({"key": keys, "ts": pa.array(moments, pa.timestamp("us", tz="UTC"))})

    def expected(key, moment):
        seen = [tweets for one, tweets in zip(published, TWEETS, strict=True) if at(one) <= moment and key in tweets]
        return seen[-1][key] if seen else None

    assert tweets_of(store, rows, as_of="ts") == [expected(*row) for row in zip(keys, moments, strict=True)]


def test_older_publication_answers_for_a_key_that_the_newest_lacks_unless_it_is_too_old(store, published):
    assert tweets_of(store, ["u1"]) == [10]
    later = at(published[2]) + dt.timedelta(days=1)
    assert tweets_of(store, ["u1", "u2"], later, max_age=dt.timedelta(days=2)) == [10, 200]
    assert tweets_of(store, ["u1", "u2"], later, max_age=later - at(published[2])) == [None, 200]


def test_backfill_of_an_older_week_does_not_replace_a_newer_one(store, published):
    store.publish_features(draft("2025-12-29", {"u2": -1}))
    assert tweets_of(store, ["u2"]) == [200]


def test_week_that_is_published_again_replaces_itself(store, published):
    store.publish_features(draft(WEEKS[2], {"u2": 7}))
    assert tweets_of(store, ["u2"]) == [7]


def test_retry_of_a_run_publishes_once(store):
    first = store.publish_features(draft(created_by="run"))
    again = store.publish_features(draft(tweets={"u9": 9}, created_by="run"))
    assert (again.number, again.file) == (first.number, first.file)


@pytest.mark.parametrize("form", [pa.table, pd.DataFrame, pl.DataFrame, dict])
def test_rows_come_in_any_table_and_keep_their_columns(store, published, form):
    rows = form({"label": [0, 1], "user": ["u2", "u3"]})
    joined = store.features("user", rows, ["derived.activity.tweets"])
    assert joined.to_pydict() == {"label": [0, 1], "user": ["u2", "u3"], "derived.activity.tweets": [200, 300]}


def test_moment_without_a_zone_is_utc(store, published):
    moment = at(published[0])
    naive = pd.DataFrame({"user": ["u2"], "ts": [moment.replace(tzinfo=None)]})
    assert tweets_of(store, naive, as_of="ts") == [2]
    assert tweets_of(store, ["u2"], as_of=moment.isoformat()) == [2]
    elsewhere = moment.astimezone(dt.timezone(dt.timedelta(hours=9)))
    assert tweets_of(store, ["u2"], as_of=elsewhere) == [2]


def test_set_without_a_column_gives_all_of_them(store, published):
    joined = store.features("user", ["u2"], ["derived.activity"])
    assert joined.column_names == ["user", "derived.activity.tweets", "derived.activity.lang"]


def test_column_that_came_later_is_null_before(store, published):
    wider = pa.table({"user_id": ["u2"], "tweets": [1.5], "replies": [4]})
    last = store.publish_features(draft("2026-01-26", table=wider))
    rows = pa.table({"user": ["u2", "u2"], "ts": pa.array([at(published[1]), at(last)], pa.timestamp("us", tz="UTC"))})
    joined = store.features("user", rows, ["derived.activity.replies", "derived.activity.tweets"], as_of="ts")
    assert joined["derived.activity.replies"].to_pylist() == [None, 4]
    assert joined["derived.activity.tweets"].to_pylist() == [20.0, 1.5]


@pytest.mark.parametrize(("missing", "expected"), [("null", [200, None]), ("zero", [200, 0]), ("mean", [200.0, 250.0])])
def test_missing_values(store, published, missing, expected):
    assert tweets_of(store, ["u2", "nobody"], missing=missing) == expected


def test_missing_raise_names_the_keys(store, published):
    with pytest.raises(UnknownKey, match=r"1 of 2 rows have no derived\.activity\.tweets at their moment: 'nobody'"):
        tweets_of(store, ["u2", "nobody"], missing="raise")


def test_zero_has_no_meaning_for_text(store, published):
    with pytest.raises(InvalidQuery, match=r"needs numbers, derived\.activity\.lang is string"):
        store.features("user", ["nobody"], ["derived.activity.lang"], missing="zero")


def test_empty_publication_is_a_publication(store):
    store.publish_features(draft(tweets={}))
    assert tweets_of(store, ["u1"]) == [None]


class TestLearned:
    def test_vectors_of_the_version_that_the_reference_gave_then(self, store):
        first = store.publish(make_draft(entity="user", week=WEEKS[0]))
        key = first.keys()[0].as_py()
        moments = [at(first.info) - dt.timedelta(seconds=1), at(first.info)]
        rows = pa.table({"user": [key, key], "ts": pa.array(moments, pa.timestamp("us", tz="UTC"))})
        joined = store.features("user", rows, ["learned.word"], as_of="ts")["learned.word"]
        assert joined.type == pa.list_(pa.float32(), D)
        assert joined[0].as_py() is None
        np.testing.assert_array_equal(joined[1].as_py(), first.lookup(key)[0])

    def test_alias_is_followed_over_time(self, store):
        versions = [store.publish(make_draft(entity="user", week=week)) for week in WEEKS[:2]]
        store.promote(versions[0], "production")
        then = dt.datetime.now(dt.UTC)
        store.promote(versions[1], "production")
        key = versions[0].keys()[0].as_py()
        before = store.features("user", [key], ["learned.word@production"], as_of=then)["learned.word@production"]
        np.testing.assert_array_equal(before[0].as_py(), versions[0].lookup(key)[0])

    def test_two_spaces_side_by_side_are_refused(self, store):
        versions = [store.publish(make_draft(entity="user", week=week, space=week)) for week in WEEKS[:2]]
        moments = pa.array([at(version.info) for version in versions], pa.timestamp("us", tz="UTC"))
        rows = pa.table({"user": ["key3", "key3"], "ts": moments})
        with pytest.raises(SpaceMismatch, match=r"span 2 spaces of user/word \(v1, v2\).*learned\.word@v2"):
            store.features("user", rows, ["learned.word"], as_of="ts")

    @pytest.mark.parametrize("missing", ["null", "zero", "mean"])
    def test_missing_vectors(self, store, missing):
        version = store.publish(make_draft(entity="user"))
        found = store.features("user", ["nobody"], ["learned.word"], missing=missing)["learned.word"][0].as_py()
        if missing == "null":
            assert found is None
        else:
            expected = np.zeros(D) if missing == "zero" else version.numpy().mean(axis=0)
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_unknown_embedding(self, store):
        with pytest.raises(UnknownEmbedding):
            store.features("user", ["u1"], ["learned.nothing"])


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"key": "id"}, InvalidFeatures, "has no key column 'id'; its columns are user_id, tweets, lang"),
        ({"table": pa.table({"user_id": ["u1"]})}, InvalidFeatures, "no column beside its key"),
        ({"table": pa.table({"user_id": ["u1"], "A b": [1]})}, InvalidFeatures, "column 'A b' needs a name"),
        ({"table": pa.table({"user_id": ["u1", "u1"], "x": [1, 2]})}, InvalidEmbedding, "'u1' appears 2 times"),
        ({"table": pa.table({"user_id": [""], "x": [1]})}, InvalidEmbedding, "row 0 is empty"),
        ({"week": "2026-01-06"}, InvalidFeatures, "no Monday"),
        ({"kind": "learned"}, InvalidFeatures, "none of raw, derived"),
        ({"name": "../x"}, InvalidName, "feature set"),
        ({"entity": "a/b"}, InvalidName, "entity"),
    ],
)
def test_unfit_feature_set_is_refused(store, changes, error, message):
    with pytest.raises(error, match=message):
        store.publish_features(draft(**changes))
    assert store.feature_sets() == []


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        ({"features": ["tweets"]}, InvalidQuery, "none of raw"),
        ({"features": []}, InvalidQuery, "give a list"),
        ({"features": "derived.activity"}, InvalidQuery, "give a list"),
        ({"features": ["raw.activity"]}, UnknownFeature, "it has derived.activity"),
        ({"features": ["derived.activity.likes"]}, UnknownFeature, "it has tweets, lang"),
        ({"features": ["derived.activity", "derived.activity.lang"]}, InvalidQuery, "twice"),
        ({"rows": {"id": ["u1"]}}, InvalidQuery, "no column 'user' or 'key'; their columns are id"),
        ({"rows": ["u1", None]}, InvalidQuery, "key of row 1 is null"),
        ({"rows": 7}, InvalidQuery, "rows are int"),
        ({"as_of": "yesterday"}, InvalidQuery, "no moment"),
        ({"as_of": "n", "rows": {"user": ["u1"], "n": [1]}}, InvalidQuery, "needs timestamps"),
        ({"missing": "drop"}, InvalidQuery, "missing is 'drop'"),
    ],
)
def test_question_that_cannot_be_understood(store, published, question, error, message):
    asked = {"rows": ["u1"], "features": ["derived.activity.tweets"]} | question
    with pytest.raises(error, match=message):
        store.features("user", **asked)


def test_feature_sets_are_listed_and_are_no_embeddings(store, published):
    (listed,) = store.feature_sets("user")
    assert (listed.reference, listed.number, listed.week) == ("derived.activity", 3, WEEKS[2])
    assert listed.columns == {"tweets": "int64", "lang": "string"}
    assert store.names() == []
    assert store.feature_sets("word") == []


def test_altered_file_is_not_read(store, published, tmp_path):
    for path in (tmp_path / "registry").rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(Corrupt, match="was altered"):
        tweets_of(store, ["u2"])
    assert not store.verify().ok


def test_vectors_outlive_several_erasures(store):
    keys, moment = pa.array(["a", "b", "c"]), None
    first = store.publish(make_draft(keys=keys, vectors=np.eye(3, D, dtype=np.float32)))
    moment = first.info.published_at
    for key in ("b", "c"):
        store.erase("word", [key], reason="asked to")
    for name in ("learned.word", "learned.word@2026-01-05"):
        found = store.features("word", ["a", "b"], [name], as_of=moment)[name].to_pylist()
        assert found == [[1, 0, 0, 0, 0], None]


def test_a_version_that_lost_all_its_keys_no_longer_counts(store):
    vectors = np.eye(2, D, dtype=np.float32)
    store.publish(make_draft(keys=pa.array(["a", "b"]), vectors=vectors))
    store.publish(make_draft(keys=pa.array(["b"]), vectors=vectors[1:], week=WEEKS[1], space="another"))
    store.erase("word", ["b"], reason="asked to")
    assert store.features("word", ["a"], ["learned.word"])["learned.word"].to_pylist() == [[1, 0, 0, 0, 0]]
    with pytest.raises(Erased, match="v2 was erased"):
        store.features("word", ["a"], [f"learned.word@{WEEKS[1]}"])


def test_a_week_gives_what_it_gave_at_the_moment(store):
    facts = {"keys": pa.array(["a"])}
    first, second = (store.publish(make_draft(vectors=np.full((1, D), at, np.float32), **facts)) for at in (1, 2))
    name = f"learned.word@{WEEKS[0]}"
    rows = pa.table(
        {"word": ["a", "a"], "at": [dt.datetime.fromisoformat(v.info.published_at) for v in (first, second)]}
    )
    assert store.features("word", rows, [name], as_of="at")[name].to_pylist() == [[1] * D, [2] * D]


def test_a_backfill_is_not_listed_as_the_newest(store):
    for week, tweets in ((WEEKS[1], TWEETS[1]), (WEEKS[0], TWEETS[0])):
        store.publish_features(draft(week, tweets))
    assert [one.week for one in store.feature_sets()] == [WEEKS[1]]
    assert tweets_of(store, ["u1"]) == [10]


@pytest.mark.parametrize("rows", [{"user": [["u1"]]}, {"user": [b"\xff"]}])
def test_keys_that_are_no_text_are_refused(store, published, rows):
    with pytest.raises(InvalidQuery, match="the keys in column 'user' are"):
        tweets_of(store, rows)


@pytest.mark.parametrize("as_of", [dt.date(2026, 1, 5), 12])
def test_a_moment_of_another_type_is_refused(store, published, as_of):
    with pytest.raises(InvalidQuery, match="is no moment"):
        tweets_of(store, ["u1"], as_of=as_of)


def test_a_retry_beside_its_zombie_leaves_one_file(store, tmp_path, monkeypatch):
    put, facts = feature_sets.claim, draft(created_by="run-1")

    def overtaken(*args):
        monkeypatch.undo()
        open_registry(store.root).publish_features(facts)
        put(*args)

    monkeypatch.setattr(feature_sets, "claim", overtaken)
    assert store.publish_features(facts).number == 1
    assert len(list((tmp_path / "registry/user/derived.activity/data").iterdir())) == 1
