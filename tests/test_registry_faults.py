"""RELIABILITY.md R1 to R5: whatever dies, fails or races, a version is whole or absent."""

import errno
import itertools
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from registry_samples import make_draft, make_keys, make_vectors

from registry import Score, Store, open_registry
from registry.storage import Disk, LocalStorage

TESTS = Path(__file__).parent


class Tracing(Disk):
    """A disk that notes each operation and fails the one with number `failing`."""

    def __init__(self, failing=None, error=errno.EIO):
        self.failing, self.error = failing, error
        self.trace = []

    def _step(self, operation, path):
        self.trace.append((operation, path))
        if len(self.trace) - 1 == self.failing:
            raise OSError(self.error, os.strerror(self.error), str(path))

    def make_folder(self, path):
        self._step("make_folder", path)
        super().make_folder(path)

    def write(self, path, chunks):
        data = b"".join(bytes(chunk) for chunk in chunks)
        super().write(path, [data[: len(data) // 2]])
        self._step("write", path)  # fails with half of the file written
        with path.open("ab") as file:
            file.write(data[len(data) // 2 :])

    def produce(self, path, produce):
        self._step("produce", path)
        super().produce(path, produce)

    def sync(self, path):
        self._step("sync", path)
        super().sync(path)

    def link(self, source, target):
        self._step("link", target)
        super().link(source, target)

    def unlink(self, path):
        self._step("unlink", path)
        super().unlink(path)

    def remove_folder(self, path):
        self._step("remove_folder", path)
        super().remove_folder(path)

    def read(self, path):
        self._step("read", path)
        return super().read(path)

    def names(self, path):
        self._step("names", path)
        return super().names(path)

    def digest(self, path):
        self._step("digest", path)
        return super().digest(path)


def small_draft(**changes):
    return make_draft(keys=make_keys(4), vectors=make_vectors(4, 2), **changes)


def traced_publish(root):
    disk = Tracing()
    Store(LocalStorage(root, disk)).publish(small_draft())
    return disk.trace


def check_whole_or_absent(root, before):
    """The registry verifies and holds `before` versions or one more; returns how many."""
    store = open_registry(root)
    report = store.verify()
    assert report.ok, report.problems
    assert report.versions in (before, before + 1)
    for info in store.versions("word/word") if report.versions else []:
        np.testing.assert_array_equal(store[info.reference].numpy(), make_vectors(4, 2))
    return report.versions


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_any_failing_operation_leaves_a_whole_version_or_none(tmp_path, error, before):
    for number in itertools.count():
        root = tmp_path / str(number)
        for _ in range(before):
            open_registry(root).publish(small_draft())
        disk = Tracing(number, error)
        with suppress(OSError):  # a failed clean-up after the version exists is not an error
            Store(LocalStorage(root, disk)).publish(small_draft())
        if len(disk.trace) <= number:  # nothing failed: every operation has had its turn
            break
        after = check_whole_or_absent(root, before)
        linked = ("link", root / f"word/word/log/{before + 1:08d}.json") in disk.trace[:number]
        assert (after == before + 1) == linked
        left = len(list(root.glob("word/word/versions/*")))
        numbering = ("sync", root) in disk.trace[:number]  # the attempt is whole and durable
        assert left == before + numbering, "what was written in vain is removed, what may be named is kept"
    assert number > 30
    assert check_whole_or_absent(root, before) == before + 1


def test_a_retry_after_a_failed_last_sync_does_not_publish_twice(tmp_path):
    trace = traced_publish(tmp_path / "count")
    linked = next(i for i, (operation, _) in enumerate(trace) if operation == "link")
    sync = next(i for i in range(linked, len(trace)) if trace[i][0] == "sync")
    with pytest.raises(OSError, match="Input/output error"):
        Store(LocalStorage(tmp_path / "r", Tracing(sync))).publish(small_draft(created_by="run"))
    version = open_registry(tmp_path / "r").publish(small_draft(created_by="run"))
    assert version.number == 1
    assert check_whole_or_absent(tmp_path / "r", 1) == 1


def test_what_is_acknowledged_was_synced_in_the_right_order(tmp_path):
    trace = traced_publish(tmp_path / "new" / "root")
    log = tmp_path / "new/root/word/word/log"
    link = trace.index(("link", log / "00000001.json"))
    synced = {path: at for at, (operation, path) in enumerate(trace) if operation == "sync"}
    attempt = next(path.parent for operation, path in trace if operation == "produce")
    written = [path for operation, path in trace if operation == "produce"]
    assert len(written) == 6  # five files and the manifest
    assert trace[link - 1][0] == "sync"
    assert trace[link - 1][1].name.startswith(".tmp-")
    complete = max(synced[path] for path in written)
    root = tmp_path / "new" / "root"
    for folder in (attempt, *attempt.parents[:4]):  # versions, word, word, root
        assert complete < trace.index(("sync", folder)) < link
    assert attempt.parents[3] == root
    for made, parent in [(root, tmp_path / "new"), (tmp_path / "new", tmp_path)]:
        assert trace.index(("make_folder", made)) < trace.index(("sync", parent)) < link
    assert trace.index(("sync", log), link) > link


DRILL = """
import os, random, signal, sys, time
import annoy, pyarrow.parquet  # before the forks, or most kills would fall into these imports
from registry import open_registry
from registry_samples import make_draft, make_keys, make_vectors

def fork(times):
    child = os.fork()
    if not child:
        store = open_registry(sys.argv[1])
        for _ in range(times):
            store.publish(make_draft(keys=make_keys(4), vectors=make_vectors(4, 2)))
        os._exit(0)
    return child

random.seed(int(sys.argv[2]))
started = time.monotonic()
assert os.waitpid(fork(1), 0)[1] == 0
seconds = time.monotonic() - started
for _ in range(int(sys.argv[3])):
    child = fork(1000)
    time.sleep(random.uniform(0, 2 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def start(code, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment)


def test_a_killed_publisher_leaves_a_whole_version_or_none(tmp_path):
    assert start(DRILL, tmp_path, 7, 20).wait() == 0
    store = open_registry(tmp_path)
    report = store.verify()
    assert report.ok, report.problems
    numbers = [info.number for info in store.versions("word/word")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) == report.versions
    attempts = {path.name for path in tmp_path.glob("word/word/versions/*")}
    assert len(attempts) > len(numbers), "no kill fell into a publish; the drill has shown nothing"
    assert store.publish(small_draft()).number == len(numbers) + 1


RACE = """
import sys
from registry import Score, open_registry
from registry_samples import make_draft, make_keys, make_vectors

store = open_registry(sys.argv[1])
for i in range(int(sys.argv[3])):
    run = f"{sys.argv[2]}-{i}"
    draft = make_draft(keys=make_keys(4), vectors=make_vectors(4, 2), created_by=run)
    version = store.publish(draft)
    assert version.manifest.created_by == run
    store.add_score(version, Score(task="t", metric="m", value=1.0, rows_used=1), created_by=run)
    shared = store.publish(make_draft(name="shared", created_by=f"step-{i}"))
    score = Score(task="t", metric="m", value=2.0, rows_used=1)
    store.add_score(shared, score, created_by=f"step-{i}")
"""


def test_racing_publishers_get_a_number_each_and_retries_share_one(tmp_path):
    writers, rounds = 3, 5
    racing = [start(RACE, tmp_path, f"w{writer}", rounds) for writer in range(writers)]
    assert [process.wait() for process in racing] == [0] * writers
    store = open_registry(tmp_path)
    report = store.verify()
    assert report.ok, report.problems
    infos = store.versions("word/word")
    assert [info.number for info in infos] == list(range(1, writers * rounds + 1))
    assert {info.created_by for info in infos} == {f"w{writer}-{i}" for writer in range(writers) for i in range(rounds)}
    times = [info.published_at for info in infos]
    assert times == sorted(times)
    # Each `shared` draft was published by all writers at once, as a zombie beside its retry would.
    assert [info.created_by for info in store.versions("word/shared")] == [f"step-{i}" for i in range(rounds)]
    assert report.scores == writers * rounds + rounds


def test_a_reader_keeps_what_it_opened_while_others_publish(tmp_path):
    store = open_registry(tmp_path)
    version = store.publish(small_draft())
    vectors = version.numpy()
    for _ in range(3):
        open_registry(tmp_path).publish(small_draft())
    store.add_score(version, Score(task="t", metric="m", value=1.0, rows_used=1))
    np.testing.assert_array_equal(vectors, make_vectors(4, 2))
    assert version.number == 1
