"""How far an erasure reaches: columns of any type, words, retired versions, publishers on their way."""

import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from registry_samples import make_draft, make_keys, make_vectors

from registry import Score, Store, Upstream, errors, layout, open_registry
from registry.cli import main
from registry.keeping.retention import Keep
from registry.keeping.traces import scan_bytes
from registry.logs.claims import claim
from registry.storage.local import Disk, LocalStorage

GONE = "u-gone"


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


def draft_of(*keys, seed=0, **changes):
    return make_draft(keys=pa.array(keys), vectors=make_vectors(len(keys), 3, seed), **changes)


def tweets_of(column, **changes):
    return draft_of("t1", "t2", entity="tweet", name="text", attributes=pa.table({"user": column}), **changes)


def test_a_replacement_is_as_new_as_what_it_replaces(store):
    store.publish(draft_of("a", "b", "c", seed=1))
    store.publish(draft_of("a", "c", seed=2))
    store.erase("word", "b", reason="asked for")  # v3 is v1 without it
    store.erase("word", "c", reason="asked for")  # v4 is v2, v5 is v3
    origins = {info.number: info.replaces for info in store.versions("word/word")}
    assert origins == {1: None, 2: None, 3: 1, 4: 2, 5: 1}
    for reference in ("word/word", "word/word@latest", "word/word@2026-01-05"):
        np.testing.assert_array_equal(store[reference].numpy(), make_vectors(2, 3, 2)[:1])
    assert store.embedding("word/word").latest.number == 4
    assert store.retain("word/word", Keep(last=1)).retired == ["word/word@v5"]
    learned = store.features("word", ["a"], ["learned.word"]).column(1).to_pylist()
    np.testing.assert_array_equal(learned[0], make_vectors(2, 3, 2)[0])


TEXTS = pa.array([GONE, "u-kept"])
COLUMNS = {
    "dictionary": (TEXTS.dictionary_encode(), [None, "u-kept"]),
    "list of lists": (pa.array([[[GONE, "x"], None], [["u-kept"]]]), [[["x"], None], [["u-kept"]]]),
    "large list": (pa.array([[GONE, None], None], pa.large_list(pa.large_string())), [[None], None]),
    "fixed list": (pa.array([[GONE, "x"], ["y", "z"]], pa.list_(pa.string(), 2)), [[None, "x"], ["y", "z"]]),
    "struct": (pa.array([{"id": GONE, "n": 1}, None]), [{"id": None, "n": 1}, None]),
    "map": (pa.array([[(GONE, 1), ("x", 2)], []], pa.map_(pa.string(), pa.int64())), [[("x", 2)], []]),
    "string view": (TEXTS.cast(pa.string_view()), [None, "u-kept"]),
    "binary": (TEXTS.cast(pa.binary()), [None, b"u-kept"]),
    "integer": (pa.array([4711, 4712]), [None, 4712]),
    "uuid": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0123456789abcdef", None], pa.binary(16))),
        [None, None],
    ),
    "decimal": (pa.array([4711, 4712]).cast(pa.decimal128(21, 2)), [None, 4712]),
    "whole float": (pa.array([4711.0, float("inf")]), [None, float("inf")]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_key_is_found_in_columns_of_any_type(store, tmp_path, kind):
    column, expected = COLUMNS[kind]
    store.publish(tweets_of(column))
    done = store.erase("user", [GONE, "4711", "30313233-3435-3637-3839-616263646566"], reason="asked for")
    assert done.replaced == {"tweet/text@v1": "tweet/text@v2"}
    assert done.not_found == 2
    found = store["tweet/text"].attributes()["user"]
    assert (found.type, found.to_pylist()) == (column.type, expected)
    assert scan_bytes(tmp_path, GONE) == []


def test_a_column_that_cannot_be_written_without_a_key_is_an_error(store):
    kind = pa.struct([pa.field("id", pa.string(), nullable=False)])
    store.publish(tweets_of(pa.array([{"id": GONE}, {"id": "x"}], kind)))
    with pytest.raises(errors.InvalidQuery, match="a key stands in a part 'id' of a column that may not be null"):
        store.erase("user", GONE, reason="asked for")
    assert store.erase("user", "other", reason="asked for").replaced == {}


def test_what_a_version_tells_of_its_training_is_cut(store, tmp_path):
    lineage = Upstream(
        asset="user/pairs",
        partition=GONE,
        data_version="d",
        upstream=(Upstream(asset="x", partition=f"of {GONE}", data_version=None),),
    )
    store.publish(
        draft_of(
            "a", GONE, entity="user",
            trainer={"name": "sgns", "dim": 3, "anchors": [GONE, "a"]},
            training={"probe": {GONE: 0.5, "a": 0.25}, "note": f"{GONE} is odd", "longer": f"{GONE}x"},
            lineage=lineage,
        )
    )  # fmt: skip
    done = store.erase("user", GONE, reason="asked for")
    new = store["user/word"]
    assert new.manifest.trainer == {"name": "sgns", "dim": 3, "anchors": ["a"]}
    expected = {"probe": {"a": 0.25}, "note": None, "longer": f"{GONE}x", "erased_keys": 1}
    assert new.manifest.training == expected  # `longer` is another word
    (before,) = new.lineage().upstream
    assert (before.asset, before.partition, before.data_version) == ("user/pairs", None, "d")
    assert before.upstream[0].partition is None
    assert done.mentions == []


def test_log_entries_that_mention_a_key_are_listed(store, tmp_path):
    store.publish(draft_of("a", GONE, entity="user", created_by=f"run of {GONE}"))
    store.publish(tweets_of(pa.array(["x", "y"]), training={"probe": GONE}))
    store.promote("user/word", "production", reason=f"{GONE} looks fine now")
    store.pin("user/word", reason=f"{GONE} is studied")
    done = store.erase("user", GONE, reason="asked for")
    entries = ("log/00000001", "retention/00000003", "aliases/production/00000001")
    log, pin, move = (f"user/word/{entry}.json" for entry in entries)
    # The last does not hold the key, only its training tells of it.
    assert sorted(done.mentions) == sorted([log, pin, move, "tweet/text@v1"])
    assert [path for path in scan_bytes(store.root, GONE) if "/versions/" not in path] == sorted([log, pin, move])


def test_retired_versions_and_scores_of_other_embeddings_are_searched(store, tmp_path):
    store.publish(tweets_of(pa.array([GONE, "x"])))
    last = store.publish(tweets_of(pa.array(["y", "x"])))
    store.retain("tweet/text", Keep(last=1))
    store.add_score(last, Score(task="t", metric="m", value=1.0, rows_used=1, details={"worst": GONE}))
    done = store.erase("user", GONE, reason="asked for")
    assert (done.replaced, done.scores, len(done.removed)) == ({}, 1, 1)
    assert scan_bytes(tmp_path, GONE) == []


def test_a_publisher_that_is_about_to_name_its_attempt_is_waited_for(tmp_path):
    waiting = threading.Event()

    class Slow(Disk):
        """Sleeps between the claim and the log entry."""

        def link(self, source, target):
            if target.parent.name == "log":
                waiting.set()
                time.sleep(0.1)
            super().link(source, target)

    late = threading.Thread(target=Store(LocalStorage(tmp_path, Slow())).publish, args=[draft_of("a", GONE)])
    late.start()
    waiting.wait()
    done = open_registry(tmp_path).erase("word", GONE, reason="asked for")
    late.join()
    assert (done.replaced, done.in_flight) == ({"word/word@v1": "word/word@v2"}, [])
    assert scan_bytes(tmp_path, GONE) == []


def test_a_publisher_that_does_not_come_through_is_reported(store, tmp_path):
    store.publish(draft_of("a"))
    attempt, place = layout.new_attempt(), layout.Place("word", "word")
    folder = tmp_path / "registry" / place.attempt(attempt)
    folder.mkdir(parents=True)
    (folder / "keys.idx").write_bytes(GONE.encode())
    claim(LocalStorage(tmp_path / "registry"), place, attempt, 2)
    assert store.erase("word", GONE, reason="asked for").in_flight == [place.attempt(attempt)]
    store.publish(draft_of("a"))  # version 2 is somebody else's: its claim is spent
    assert store.erase("word", GONE, reason="asked for").in_flight == []
    assert not folder.exists()


def test_keys_from_a_file_end_at_line_feeds_only(store, tmp_path):
    odd = "a\u2028b"
    store.publish(draft_of("a", "b", odd, "c"))
    listed = tmp_path / "keys.txt"
    listed.write_bytes(f"\ufeff{odd}\r\nc\nnever-there\n".encode())
    command = ["--root", store.root, "erase", "word", "--keys-from", str(listed), "--reason", "asked for"]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 0, said.output
    assert store["word/word"].keys().to_pylist() == ["a", "b"]
    assert "1 keys were found in no version" in said.stdout
    listed.write_bytes(b"\xff\xfea\x00")
    said = CliRunner().invoke(main, command)
    assert (said.exit_code, "is not UTF-8" in said.stderr) == (1, True)


def test_an_embedding_that_is_gone_is_still_listed(store):
    store.publish(draft_of(GONE))
    store.publish(draft_of("a", entity="user"))
    store.promote("word/word", "production")
    store.erase("word", GONE, reason="asked for")
    for shape in ([], ["--json"]):
        said = CliRunner().invoke(main, ["--root", store.root, "list", *shape])
        assert said.exit_code == 0, said.output
        assert "user/word@v1" in said.stdout
        assert "word/word" in said.stdout.replace("user/word", "")


def test_an_empty_store_is_a_store_and_nonsense_is_not_in_it(store):
    assert store
    assert len(store) == 0
    store.publish(make_draft(keys=make_keys(3), vectors=make_vectors(3)))
    assert "word/word" in store
    for text in ("x", "word/word@v0", "../x/y", "word/word@v2", 7):
        assert text not in store
