"""Erasure (RELIABILITY.md R23), its traces, and keys too rare to publish (R25)."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from registry_samples import N, make_draft, make_keys, make_vectors
from reliability.drills_retention import ERASED, erased_keys, rare_keys, registry_with_keys

from registry import Score, errors, open_registry
from registry.keeping.retention import Keep
from registry.keeping.traces import scan_bytes
from registry.records import ComposerSpec


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


def test_no_byte_of_an_erased_key_is_left_even_after_crashes():
    assert erased_keys(4) == (4, [])


def test_an_erasure_says_what_it_did_and_does_it_once(tmp_path):
    store = registry_with_keys(tmp_path)
    done = store.erase("user", ERASED, reason="request 1234")
    assert done.replaced == {
        "tweet/word@v1": "tweet/word@v2",
        "user/graph@v1": "user/graph@v3",
        "user/graph@v2": "user/graph@v4",
    }
    assert done.aliases == {"production": "user/graph@v3"}
    assert done.scores == 2
    assert len(done.removed) == 3 + 2  # versions, and files of features
    again = store.erase("user", ERASED, reason="request 1234")
    assert (again.replaced, again.removed, again.scores, again.aliases) == ({}, [], 0, {})


def test_a_replacement_is_the_old_version_without_some_rows(store):
    keys = make_keys().to_pylist()
    spec = ComposerSpec(weighting="idf")
    attributes = pa.table({"count": np.arange(1, N + 1), "near_words": [[key, keys[0]] for key in keys]})
    old = store.publish(
        make_draft(
            attributes=attributes,
            extra={"context": make_vectors(seed=1), "loss": np.ones(3)},
            composer=spec,
            training={"loss": 2.0},
            created_by="run-1",
        )
    )
    store.erase("word", [keys[0], keys[5]], reason="asked for", columns=["near_words"])
    new = store["word/word"]
    rows = [row for row in range(N) if row not in (0, 5)]
    assert new.keys().to_pylist() == [keys[row] for row in rows]
    np.testing.assert_array_equal(new.numpy(), make_vectors()[rows])
    np.testing.assert_array_equal(new.extra("context"), make_vectors(seed=1)[rows])
    np.testing.assert_array_equal(new.extra("loss"), np.ones(3))
    assert new.attributes()["near_words"].to_pylist() == [[keys[row]] for row in rows]
    assert (new.week, new.space, new.composer().spec) == (old.week, old.space, spec)
    assert new.manifest.training == {"loss": 2.0, "erased_keys": 2}
    assert new.lineage().partition == "word/word@v1"
    with pytest.raises(errors.Erased, match=r"v1 was erased at .*: asked for; read word/word@v2 instead"):
        store["word/word@v1"]


def test_scores_are_carried_over_and_say_where_they_were_measured(store):
    version = store.publish(make_draft())
    store.add_score(version, Score(task="t", metric="m", value=0.5, rows_used=3, details={"week": 4}))
    store.add_score(version, Score(task="t", metric="n", value=None, rows_used=0, undefined="key3 has no label"))
    store.erase("word", "key3", reason="asked for")
    kept = {score.metric: score for score in store["word/word"].scores()}
    assert kept["m"].details == {"measured_on": "word/word@v1", "week": 4}
    assert kept["n"].undefined == "the reason named a key that was erased"
    assert store.verify().ok
    assert store.verify().scores == 3  # one of the old version mentioned the key


def test_a_key_in_an_older_version_only_and_in_one_that_was_retired(store, tmp_path):
    for count in (5, 4, 3):
        store.publish(make_draft(keys=make_keys(count), vectors=make_vectors(count)))
    store.retain("word/word", Keep(last=2))
    gone, old = (make_keys()[row].as_py() for row in (4, 3))
    assert store.erase("word", [gone, old], reason="asked for").replaced == {"word/word@v2": "word/word@v4"}
    assert scan_bytes(tmp_path, [gone, old]) == []
    assert store["word/word@v3"].keys().to_pylist() == make_keys(3).to_pylist()


def test_a_version_of_nothing_else_is_not_replaced(store, tmp_path):
    version = store.publish(make_draft(keys=make_keys(1), vectors=make_vectors(1)))
    store.promote(version, "production")
    assert store.erase("word", make_keys(1), reason="asked for").replaced == {"word/word@v1": None}
    for reference in ("word/word", "word/word@v1", "word/word@production", "word/word@2026-01-05"):
        with pytest.raises(errors.Erased, match="asked for"):
            store[reference]
    assert scan_bytes(tmp_path, make_keys(1)) == []
    assert store.publish(make_draft()).number == 2


def test_an_attempt_that_was_left_over_is_searched_for_no_key_it_just_goes(store, tmp_path):
    store.publish(make_draft())
    torn = tmp_path / "registry/word/word/versions/20990101T000000000000-0123456789ab"
    torn.mkdir()
    (torn / "keys.idx").write_bytes(b"...key3...")
    store.erase("word", "key3", reason="asked for")
    assert not torn.exists()


def test_pins_do_not_protect_from_an_erasure(store):
    store.publish(make_draft())
    store.pin("word/word@v1", reason="the paper's table")
    assert store.erase("word", "key3", reason="asked for").replaced == {"word/word@v1": "word/word@v2"}


def test_a_reader_that_has_it_open_may_finish(store):
    version = store.publish(make_draft())
    vectors = version.numpy()
    store.erase("word", "key3", reason="asked for")
    np.testing.assert_array_equal(vectors, make_vectors())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"keys": []}, "needs keys that are not empty"),
        ({"keys": ["a", ""]}, "needs keys that are not empty"),
        ({"keys": [7]}, "keys are text"),
        ({"reason": ""}, "needs a reason"),
        ({"reason": "user key3 asked"}, "a reason that names no key"),
        ({"entity": "../x"}, "entity '../x' is not allowed"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(store, request_, message):
    facts = {"entity": "word", "keys": ["key3"], "reason": "asked for"} | request_
    with pytest.raises((errors.InvalidQuery, errors.InvalidName), match=message):
        store.erase(facts["entity"], facts["keys"], reason=facts["reason"])


def test_the_scan_sees_compressed_columns_names_and_torn_files(tmp_path):
    pq.write_table(pa.table({"a": ["x", "hidden-key"]}), tmp_path / "a.parquet", compression="zstd")
    assert b"hidden-key" not in (tmp_path / "a.parquet").read_bytes().partition(b"PAR1")[0]
    pq.write_table(pa.table({"a": pa.array([["hidden-key"]])}), tmp_path / "list.parquet", compression="zstd")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 hidden-key")
    (tmp_path / "hidden-key.txt").write_bytes(b"")
    (tmp_path / "other.txt").write_bytes(b"hidden-ke")
    found = scan_bytes(tmp_path, ["hidden-key", "absent"])
    assert found == ["a.parquet", "hidden-key.txt", "list.parquet", "torn.parquet"]
    assert scan_bytes(tmp_path, "absent") == []
    with pytest.raises(errors.InvalidQuery, match="not empty"):
        scan_bytes(tmp_path, [""])


def test_keys_that_are_too_rare_are_never_written():
    assert rare_keys(3) == (3, [])


def test_what_min_count_leaves_out_is_counted(store):
    counts = pa.array([3.0, None, 9.0, 5.0, float("nan")])
    version = store.publish(
        make_draft(
            keys=make_keys(5),
            vectors=make_vectors(5),
            attributes=pa.table({"count": counts}),
            extra={"context": make_vectors(5, 2)},
            min_count=5,
        )
    )
    assert version.keys().to_pylist() == make_keys(5).take([2, 3]).to_pylist()
    np.testing.assert_array_equal(version.numpy(), make_vectors(5)[2:4])
    assert version.extra("context").shape == (2, 2)
    assert (version.manifest.min_count, version.manifest.left_out, len(version)) == (5, 3, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_count": 0}, "min_count is 0"),
        ({"min_count": True}, "min_count is True"),
        ({"min_count": 5, "attributes": None}, "min_count needs the attribute 'count'; the draft has none"),
        ({"min_count": 5, "attributes": pa.table({"count": ["a"] * N})}, "numeric attribute 'count'; it is string"),
        ({"min_count": 99}, "none of the 37 keys reaches min_count 99; the largest count is 36"),
    ],
)
def test_a_min_count_that_cannot_be_applied_is_refused(store, changes, message):
    facts = {"attributes": pa.table({"count": np.arange(N)})} | changes
    with pytest.raises(errors.InvalidEmbedding, match=message):
        store.publish(make_draft(**facts))
    assert store.names() == []


def test_a_moment_before_an_erasure_names_what_is_gone(store):
    store.publish(make_draft())
    before = dt.datetime.now(dt.UTC).isoformat()
    store.erase("word", "key3", reason="asked for")
    with pytest.raises(errors.Erased, match="read word/word@v2 instead"):
        store[f"word/word@{before}"]
