"""RELIABILITY.md R8 to R10 and R15: damage and hostile names meet a typed error, before any parser."""

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from registry_samples import D, N, make_draft, make_vectors
from reliability.damage import HOSTILE, READS, damageable, flip, folder_of, mutations, rewrite
from reliability.drills_reading import DRILLS

from registry import Score, layout, open_registry
from registry.errors import BadReference, Corrupt, InvalidName, NotFound
from registry.logs.documents import dump, seal, unseal
from registry.records import FileDigest
from registry.tables.files import VersionFiles


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


@pytest.mark.parametrize("name", READS)
def test_a_damaged_file_is_never_parsed(store, tmp_path, rng, name):
    version = store.publish(damageable())
    path = folder_of(store, version) / name
    whole = path.read_bytes()
    for damaged in mutations(whole, rng, 15):
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match=name):
            READS[name](open_registry(store.root)["word/word"])
        assert any(name in problem for problem in store.verify().problems)
        assert len(open_registry(store.root)["word/word"].verify().problems) == 1
    path.write_bytes(whole)
    READS[name](store["word/word"])
    assert store.verify().ok


@pytest.mark.parametrize("name", [*READS, layout.MANIFEST])
def test_a_missing_file_is_named(store, tmp_path, name):
    version = store.publish(damageable())
    (folder_of(store, version) / name).unlink()
    with pytest.raises(Corrupt, match=f"{name} is missing"):
        READS.get(name, len)(open_registry(store.root)["word/word"])
    assert [name in problem for problem in store.verify().problems] == [True]


def test_a_damaged_manifest_or_log_entry_is_refused(store, tmp_path, rng):
    version = store.publish(damageable())
    base = tmp_path / "registry" / "word" / "word"
    manifest = folder_of(store, version) / layout.MANIFEST
    for path in (manifest, base / "log" / "00000001.json"):
        whole = path.read_bytes()
        for damaged in mutations(whole, rng, 40):
            path.write_bytes(damaged)
            with pytest.raises(Corrupt, match=path.name.split(".")[0]):
                open_registry(store.root)["word/word"]
            assert not open_registry(store.root).verify().ok
        path.write_bytes(whole)
    assert store.verify().ok


def test_a_damaged_score_is_refused(store, tmp_path, rng):
    version = store.publish(damageable())
    store.add_score(version, Score(task="t.v1", metric="m", value=0.5, rows_used=3))
    path = tmp_path / "registry/word/word/scores/00000001.json"
    whole = path.read_bytes()
    for damaged in mutations(whole, rng, 40):
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="00000001"):
            open_registry(store.root)["word/word"].scores()
        assert not store.verify().ok
    path.write_bytes(whole)


def test_a_lost_or_moved_log_entry_is_noticed(store, tmp_path):
    for _ in range(3):
        store.publish(damageable())
    log = tmp_path / "registry/word/word/log"
    (log / "00000003.json").write_bytes((log / "00000001.json").read_bytes())
    with pytest.raises(Corrupt, match="was written as entry 1"):
        open_registry(store.root)["word/word@v3"]
    (log / "00000003.json").unlink()
    assert store.verify().ok
    (log / "00000001.json").unlink()
    assert "lacks the entries 1" in store.verify().problems[0]


def test_left_over_files_are_ignored(store, tmp_path):
    store.publish(damageable())
    base = tmp_path / "registry"
    (base / ".DS_Store").write_text("x")
    (base / "Word").mkdir()
    (base / "word" / "README").write_text("x")
    (base / "word/word/log/.tmp-1").write_text("x")
    (base / "word/word/versions/half-written").mkdir()
    assert store.names() == ["word/word"]
    assert store.verify().ok
    assert store.publish(damageable()).number == 2


@pytest.mark.parametrize("name", ["../../../secret", "/etc/passwd", "a/b", "..", ".", "x\0y", "extra.bin"])
def test_a_manifest_that_names_files_outside_its_version_is_refused(store, tmp_path, name):
    def change(manifest, folder):
        manifest["files"][name] = manifest["files"][layout.KEYS]

    with pytest.raises(Corrupt, match="MANIFEST"):
        rewrite(store, store.publish(damageable()), change)["word/word"]


@pytest.mark.parametrize("name", READS)
def test_a_file_that_is_a_link_to_elsewhere_is_refused(store, tmp_path, name):
    version = store.publish(damageable())
    path = folder_of(store, version) / name
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    with pytest.raises(InvalidName, match="outside the registry"):
        READS[name](open_registry(store.root)["word/word"])


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("dim", D + 1, layout.TABLE),
        ("count", N - 1, layout.TABLE),
        ("count", N + 1, layout.KEYS),
        ("count", N - 1, layout.VECTORS),
    ],
)
def test_sizes_that_contradict_the_files_are_noticed(store, tmp_path, field, value, read):
    opened = rewrite(store, store.publish(damageable()), lambda manifest, _: manifest.update({field: value}))
    with pytest.raises(Corrupt, match=read):
        READS[read](opened["word/word"])


@pytest.mark.parametrize(
    "change",
    [
        {"width": D + 1},
        {"width": D - 1},
        {"space": "euclidean"},
        {"width": 4 * D, "space": "euclidean"},
    ],
)
def test_an_index_of_another_width_or_metric_is_never_asked(store, tmp_path, change):
    opened = rewrite(store, store.publish(damageable()), lambda manifest, _: manifest["index"].update(change))
    with pytest.raises(Corrupt, match=layout.INDEX):
        READS[layout.INDEX](opened["word/word"])


def test_an_index_of_other_vectors_is_never_asked(store, tmp_path):
    def change(manifest, folder):
        other = store.publish(damageable(name="other", vectors=make_vectors(seed=5)))
        there = folder_of(store, other) / layout.INDEX
        (folder / layout.INDEX).write_bytes(there.read_bytes())
        digest = other.manifest.files[layout.INDEX]
        manifest["files"][layout.INDEX] = {"bytes": digest.bytes, "sha256": digest.sha256}

    with pytest.raises(Corrupt, match="another vector for row"):
        READS[layout.INDEX](rewrite(store, store.publish(damageable()), change)["word/word"])


@pytest.mark.parametrize("field", ["files", "index", "dim", "trainer", "schema"])
def test_a_manifest_without_a_field_is_refused(store, tmp_path, field):
    with pytest.raises(Corrupt, match="is no Manifest"):
        rewrite(store, store.publish(damageable()), lambda manifest, _: manifest.pop(field))["word/word"]


def test_a_log_entry_that_points_elsewhere_is_refused(store, tmp_path):
    store.publish(damageable())
    log = tmp_path / "registry/word/word/log/00000001.json"
    record = unseal(log.read_bytes(), "log")
    for attempt in ("../../x", "..", "", "20260101T000000000000-000000000000"):
        log.write_bytes(seal({**record, "attempt": attempt}))
        with pytest.raises(Corrupt):
            open_registry(store.root)["word/word"]


def test_a_file_that_changes_after_it_was_verified_is_verified_again(store, tmp_path):
    version = store.publish(damageable())
    version.numpy()
    path = folder_of(store, version) / layout.TABLE
    path.write_bytes(flip(path.read_bytes(), 4200))
    with pytest.raises(Corrupt, match="was altered"):
        store["word/word"].numpy()


def test_each_file_is_hashed_once_per_process(store, tmp_path, monkeypatch):
    store.publish(damageable())
    opened, hashed = open_registry(store.root), []
    storage = opened._catalog.storage
    digest = storage.digest

    def counting(path, copy=None) -> FileDigest:
        hashed.append(path)
        return digest(path, copy)

    monkeypatch.setattr(storage, "digest", counting)
    for _ in range(3):
        opened["word/word"].lookup("key3")
    # The manifest was hashed when the version was published.
    assert [path.split("/")[-1] for path in hashed] == [layout.KEYS, layout.TABLE]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_never_reaches_the_disk(tmp_path, name):
    store = open_registry(tmp_path / "registry")
    for field in ("entity", "name"):
        with pytest.raises(InvalidName):
            store.publish(replace(damageable(), **{field: name}))
    with pytest.raises(InvalidName):
        store.names(name if name is not None else "")
    for reference in (f"{name}/word", f"word/{name}", f"word/word@{name}"):
        with pytest.raises((InvalidName, BadReference, NotFound)):
            store[reference]
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_links_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "word").symlink_to(tmp_path / "outside")
    store = open_registry(tmp_path / "registry")
    with pytest.raises(InvalidName, match="outside the registry"):
        store.publish(damageable())
    assert list((tmp_path / "outside").iterdir()) == []


def test_hostile_keys_are_only_ever_values(tmp_path):
    store = open_registry(tmp_path / "registry")
    keys = [*(key for key in HOSTILE if isinstance(key, str) and key and "\0" not in key), "木" * 85]
    version = store.publish(make_draft(keys=pa.array(keys), vectors=make_vectors(len(keys))))
    assert version.keys().to_pylist() == keys
    np.testing.assert_array_equal(version.lookup(keys), make_vectors(len(keys)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["registry"]


def test_a_message_shows_a_hostile_name_escaped_and_short():
    with pytest.raises(BadReference) as caught:
        layout.Reference.parse("x\n\x1b[31m" + "y" * 500)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_records_with_numbers_as_keys_can_be_read_back():
    record = {"details": {10: "a", 9: "b", "x": {2: 1}}}
    with pytest.raises(TypeError):
        seal(record)
    assert unseal(seal({"details": {10: 1, 9: 2}}), "x") == {"details": {"10": 1, "9": 2}}


@pytest.mark.parametrize(("row", "times"), [("R8", 6), ("R9", 14), ("R10", 4), ("R11", 150), ("R15", 3), ("R21", 6)])
def test_a_drill_in_small_finds_nothing(row, times):
    drill, full_count = DRILLS[row]
    tried, problems = drill(times)
    assert problems == []
    assert tried == times < full_count


def test_a_manifest_of_a_later_schema_is_not_read(store):
    version = store.publish(make_draft())
    later = dump(replace(version.manifest, schema=layout.SCHEMA + 1))
    path = folder_of(store, version) / layout.MANIFEST
    path.write_bytes(later)
    digest = FileDigest(bytes=len(later), sha256=hashlib.sha256(later).hexdigest())
    info = replace(version.info, manifest=digest)
    with pytest.raises(Corrupt, match="says schema 2; this release reads 1"):
        VersionFiles(store._catalog.storage, info)


def test_scores_are_read_while_an_erasure_removes_one(store, monkeypatch):
    version = store.publish(make_draft())
    for task in ("one", "two"):
        store.add_score(version, Score(task=task, metric="m", value=1.0, rows_used=1))
    other = open_registry(store.root)
    log = other._catalog.log("word/word/scores")
    numbers = log.numbers()
    store._catalog.storage.remove("word/word/scores/00000001.json")
    monkeypatch.setattr(log, "numbers", lambda: numbers)  # listed before, read after
    assert [score.task for score in other["word/word"].scores()] == ["two"]
