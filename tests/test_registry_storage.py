"""What every place to keep files must grant, and the registry over each: a local folder and a bucket."""

import datetime as dt
import threading

import numpy as np
import pyarrow as pa
import pytest
from registry_samples import make_draft, make_keys, make_vectors
from s3_server import BUCKET, s3_server

from registry import Score, Store, errors, open_registry
from registry.keeping.retention import Keep
from registry.keeping.traces import scan_bytes
from registry.records import FileDigest
from registry.storage.bucket import open_bucket
from registry.storage.local import LocalStorage

NOW = dt.timedelta(0)


@pytest.fixture(scope="module")
def server():
    with s3_server() as options:
        yield options


@pytest.fixture(params=["folder", "bucket"])
def storage(request, tmp_path):
    """A fresh, empty place of each kind."""
    if request.param == "folder":
        return LocalStorage(tmp_path / "registry")
    options = request.getfixturevalue("server")
    return open_bucket(f"s3://{BUCKET}/{tmp_path.name}/registry", cache=tmp_path / "cache", **options)


@pytest.fixture
def store(storage):
    return Store(storage)


def small_draft(**changes):
    return make_draft(keys=make_keys(6), vectors=make_vectors(6, 3), **changes)


def test_a_name_is_won_once_and_keeps_its_bytes(storage):
    assert storage.put_if_absent("a/b/1.json", b"first")
    assert not storage.put_if_absent("a/b/1.json", b"second")
    assert storage.read("a/b/1.json") == b"first"
    assert storage.names("a/b") == ["1.json"]
    assert storage.names("") == ["a"]
    assert storage.names("nowhere") == []


def test_racing_writers_have_one_winner(storage):
    start, won = threading.Barrier(4), []

    def race(writer):
        start.wait()
        won.extend(number for number in range(5) if storage.put_if_absent(f"log/{number}", b"%d" % writer))

    racing = [threading.Thread(target=race, args=[writer]) for writer in range(4)]
    for thread in racing:
        thread.start()
    for thread in racing:
        thread.join()
    assert sorted(won) == list(range(5))


def test_files_are_written_read_back_and_removed(storage):
    digest = storage.write("v/one", [b"abc", memoryview(b"def")])
    assert digest == storage.digest("v/one") == storage.write_with("v/two", lambda path: path.write_bytes(b"abcdef"))
    storage.commit("v")
    assert storage.sizes("v") == {"one": 6, "two": 6}
    assert storage.sizes("nowhere") == {}
    local = storage.open_path("v/one", digest)
    assert local.read_bytes() == storage.open_path("v/one").read_bytes() == b"abcdef"
    assert storage.digest("v/one", local) == digest
    with pytest.raises(FileExistsError):
        storage.write("v/one", [b"again"])
    storage.remove("v/one")
    storage.remove("v/one")
    assert storage.names("v") == ["two"]
    storage.discard("v")
    storage.discard("v")
    assert storage.names("v") == []


def test_what_is_not_there_is_said_so(storage):
    for use in (storage.read, storage.digest, storage.open_path):
        with pytest.raises(FileNotFoundError):
            use("v/none")


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/passwd"])
def test_a_path_outside_is_refused(storage, path):
    with pytest.raises(errors.InvalidName, match="outside"):
        storage.read(path)


def test_a_version_is_published_read_and_judged(store):
    draft = small_draft(attributes=pa.table({"count": np.arange(6)}), extra={"context": make_vectors(6, 2)})
    version = store.publish(draft)
    store.add_score(version, Score(task="t", metric="m", value=0.5, rows_used=3))
    again = Store(store._catalog.storage)["word/word@latest"]
    np.testing.assert_array_equal(again.numpy(), make_vectors(6, 3))
    np.testing.assert_array_equal(again.extra("context"), make_vectors(6, 2))
    assert again.attributes()["count"].to_pylist() == list(range(6))
    assert again.neighbors("key3", k=2).keys[0] == version.neighbors("key3", k=2, plan="exact").keys[0]
    assert again.scores()[0].value == 0.5
    assert (
        store.publish(small_draft(created_by="run-1")).number == store.publish(small_draft(created_by="run-1")).number
    )
    report = store.verify()
    assert report.ok
    assert (report.versions, report.scores) == (2, 1)


def test_promotion_retention_collection_and_erasure(store):
    storage = store._catalog.storage
    for _ in range(3):
        store.publish(small_draft())
    store.promote("word/word@v1", "production")
    with pytest.raises(errors.Conflict):
        store.promote("word/word@v2", "production", expect="v3")
    store.pin("word/word@v1", reason="the paper's table")
    assert store.retain("word/word", Keep(last=1)).retired == ["word/word@v2"]
    storage.write("word/word/versions/20250101T000000000000-0123456789ab/keys.idx", [b"torn"])
    assert len(store.gc(NOW).removed) == 2
    assert len(storage.names("word/word/versions")) == 2
    done = store.erase("word", ["key3"], reason="asked for")
    assert done.aliases == {"production": "word/word@v4"}
    assert "key3" not in store["word/word@production"]
    assert store.verify().ok
    assert len(storage.names("word/word/versions")) == 2


def test_an_altered_or_missing_file_is_not_opened(store):
    version = store.publish(small_draft())
    storage, folder = store._catalog.storage, f"word/word/versions/{version.info.attempt}"
    size = version.manifest.files["lineage.json"].bytes
    storage.remove(f"{folder}/lineage.json")
    storage.write(f"{folder}/lineage.json", [b"x" * size])
    assert store.verify().problems[0].startswith(f"{folder}/lineage.json was altered")
    storage.remove(f"{folder}/lineage.json")
    assert store.verify().problems == (f"{folder}/lineage.json is missing",)


def test_copies_of_a_bucket_are_shared_checked_and_healed(server, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    digest = open_bucket(url, cache=tmp_path / "writer", **server).write("v/one", [b"abcdef"])
    copy = open_bucket(url, cache=tmp_path / "reader", **server).open_path("v/one", digest)
    assert copy == tmp_path / "reader" / digest.sha256[:2] / digest.sha256
    copy.write_bytes(b"abcdeX")  # a flipped bit in the cache
    assert open_bucket(url, cache=tmp_path / "reader", **server).open_path("v/one", digest).read_bytes() == b"abcdef"
    other = open_bucket(url, cache=tmp_path / "reader", **server)
    other.remove("v/one")
    assert other.open_path("v/one", digest).read_bytes() == b"abcdef"  # versions never change
    other.forget(digest)
    with pytest.raises(FileNotFoundError):
        other.open_path("v/one", digest)
    assert [path.name for path in (tmp_path / "reader").rglob("*") if path.is_file()] == []


def test_an_object_that_was_altered_is_told_from_its_copy(server, tmp_path):
    bucket = open_bucket(f"s3://{BUCKET}/{tmp_path.name}", cache=tmp_path / "cache", **server)
    digest = bucket.write("v/one", [b"abcdef"])
    bucket.remove("v/one")
    bucket.write("v/one", [b"abcdeX"])
    bucket.forget(digest)
    assert bucket.digest("v/one", bucket.open_path("v/one", digest)) != digest
    assert bucket.digest("v/one") == FileDigest(bytes=6, sha256=bucket.digest("v/one").sha256)


class Unreliable:
    """A real filesystem whose next exclusive write does something else first."""

    def __init__(self, inner, *surprises):
        self._inner, self._surprises = inner, list(surprises)

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def pipe_file(self, path, data, mode):
        surprise = self._surprises.pop(0) if self._surprises else None
        if surprise == "answer lost":  # the library tries again, and finds what it wrote itself
            self._inner.pipe_file(path, data, mode=mode)
        if surprise == "race":
            refused = OSError(5, "conflict")
            refused.__cause__ = ValueError()
            refused.__cause__.response = {"Error": {"Code": "ConditionalRequestConflict"}}
            raise refused
        if surprise == "overwrites":
            mode = "overwrite"
        return self._inner.pipe_file(path, data, mode=mode)


@pytest.mark.parametrize("surprise", ["answer lost", "race"])
def test_a_write_whose_answer_was_lost_or_that_met_another_is_still_won(server, tmp_path, surprise):
    bucket = open_bucket(f"s3://{BUCKET}/{tmp_path.name}", cache=tmp_path / "cache", **server)
    bucket._fs = Unreliable(bucket._fs, None, None, surprise)  # the first two try the server out
    assert bucket.put_if_absent("log/1", b"mine")
    assert not bucket.put_if_absent("log/1", b"other")
    assert bucket.names("") == ["log"]


def test_a_server_that_overwrites_cannot_hold_a_registry(server, tmp_path):
    bucket = open_bucket(f"s3://{BUCKET}/{tmp_path.name}", cache=tmp_path / "cache", **server)
    bucket._fs = Unreliable(bucket._fs, "overwrites", "overwrites")
    with pytest.raises(errors.InvalidName, match="overwrites where it was asked to create"):
        Store(bucket).publish(small_draft())


@pytest.mark.parametrize("how", ["erase", "gc"])
def test_copies_of_retired_versions_leave_the_cache(server, tmp_path, how):
    store = open_registry(f"s3://{BUCKET}/{tmp_path.name}", cache=tmp_path / "cache", **server)
    for keys in (make_keys(6), make_keys(3)):
        store.publish(make_draft(keys=keys, vectors=make_vectors(len(keys), 3))).keys()
    assert scan_bytes(tmp_path, "key5")
    store.retain("word/word", Keep(last=1))
    removed = store.gc(NOW).removed if how == "gc" else store.erase("word", "key5", reason="asked for").removed
    assert len(removed) == 1
    assert scan_bytes(tmp_path, "key5") == []
    assert store["word/word"].keys().to_pylist() == make_keys(3).to_pylist()


def test_a_registry_is_opened_by_its_url(server, tmp_path):
    url = f"s3://{BUCKET}/{tmp_path.name}"
    store = open_registry(url, cache=tmp_path / "cache", **server)
    assert store.root == url
    assert store.names() == []
    store.publish(small_draft())
    assert open_registry(f"{url}/", cache=tmp_path / "other", **server)["word/word"].number == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://a/b", "'memory' is not known to"),
        ("http://a/b", "in one step"),
        ("s3://", "names no place"),
        ("s3://a//b", "names no place"),
        ("s3://a/../b", "names no place"),
    ],
)
def test_a_url_that_cannot_hold_a_registry_is_refused(url, message):
    with pytest.raises(errors.InvalidName, match=message):
        open_registry(url)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(errors.MissingExtra, match=r"pip install 'embedding-assets\[s3\]'"):
        open_registry("s3://bucket/registry")


def test_a_folder_takes_no_options(tmp_path):
    with pytest.raises(errors.InvalidQuery, match="takes no options; got cache, key"):
        open_registry(tmp_path, key="a", cache="b")


def test_an_endpoint_that_is_not_there_is_an_os_error(tmp_path):
    options = {
        "key": "a",
        "secret": "b",
        "endpoint_url": "http://127.0.0.1:9",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    store = open_registry(f"s3://{BUCKET}/registry", cache=tmp_path, **options)
    with pytest.raises(OSError, match=r"s3://registry/registry: .*127.0.0.1:9"):
        store.names()
