"""R7, R12, R23 and R25: what is collected, retired, erased or too rare to publish, and what must not be touched."""

import datetime as dt
import json
import sys
import time
from contextlib import suppress

import numpy as np
import pyarrow as pa
from registry_samples import make_draft, make_keys, make_vectors
from reliability.drills_publishing import folder, small_draft, spread, start
from reliability.faulty_disk import Crashed, FaultyDisk

from registry import Score, Store, errors, open_registry
from registry.features.sets import FeatureDraft
from registry.keeping.retention import Keep
from registry.keeping.traces import scan_bytes
from registry.storage.local import LocalStorage

NOW = dt.timedelta(0)

COLLECTED = """
import random, sys, time
from registry import Store, errors
from registry.storage.local import Disk, LocalStorage
from registry_samples import make_draft, make_keys, make_vectors

class Slow(Disk):
    def link(self, source, target):
        time.sleep(random.uniform(0, 0.004))
        super().link(source, target)
        time.sleep(random.uniform(0, 0.004))

random.seed(sys.argv[2])
store = Store(LocalStorage(sys.argv[1], Slow()))
told = 0
for i in range(int(sys.argv[3])):
    try:
        store.publish(make_draft(keys=make_keys(4), vectors=make_vectors(4, 2), week=None))
    except (errors.Conflict, OSError):  # Annoy has no error of its own for a folder that is gone
        told += 1  # its attempt was collected: said, not hidden
print(told)
"""


def raced_collections(times):
    """R7: collect what is hardly older than a publish takes; a publisher may be told to try again, no more."""
    rng = np.random.default_rng(7)
    with folder() as root:
        store = open_registry(root)
        kept, planted, seconds = _plant(store, root)
        writers = [start(COLLECTED, root, f"w{number}", -(-times // 2), capture=True) for number in range(2)]
        collections = 0
        problems = []
        while any(writer.poll() is None for writer in writers):
            try:
                open_registry(root).gc(dt.timedelta(seconds=rng.uniform(0, 3 * seconds)))
            except (OSError, errors.RegistryError) as error:
                problems.append(f"the collector failed: {error!r}")
            collections += 1
        told = [int(writer.communicate()[0] or 0) for writer in writers]
        codes = [writer.returncode for writer in writers]
        report = open_registry(root).verify()
        store.publish(small_draft())
        versions = open_registry(root).versions("word/word")
        print(f"R7: {collections} collections, {len(versions) - 1} published, {told} told", file=sys.stderr)
        attempts = {path.name for path in root.glob("word/word/versions/*")}
        open_registry(root).gc(NOW)
        checks = {
            f"the writers ended with {codes}": codes == [0, 0],
            "nothing was collected while they published": collections > 0,
            "a left-over attempt survived": not any((root / path).exists() for path in planted),
            "what is held or young was removed": all((root / path).exists() for path in kept),
            "a version lost its attempt": {info.attempt for info in versions} <= attempts,
            "the race hit nobody, or everybody": times < 100 or 0 < sum(told) < times,
        }
        return times, problems + [text for text, holds in checks.items() if not holds] + list(report.problems)


def _plant(store, root):
    """Attempts and retired versions that must stay, and others that must go, as paths; the seconds of a publish."""
    began = time.monotonic()
    old = "20250101T000000000000-0123456789a"
    gone = [f"word/word/versions/{old}{number}" for number in range(3)]
    for name in ("leased", "retired"):
        for _ in range(2):
            store.publish(small_draft(name=name))
    seconds = (time.monotonic() - began) / 4
    store.lease("word/leased", seconds=3600, reason="drill")
    stays = [f"word/leased/versions/{old}0"]
    for path in (*gone, *stays):
        (root / path).mkdir(parents=True)
        (root / path / "keys.idx").write_bytes(b"torn")
    pinned = store.publish(small_draft(name="retired"))
    store.pin(pinned.reference, reason="drill")
    store.publish(small_draft(name="retired"))
    attempts = {info.number: f"word/retired/versions/{info.attempt}" for info in store.versions("word/retired")}
    store.retain("word/retired", Keep(last=1))
    return [*stays, attempts[3], attempts[4]], [*gone, attempts[1], attempts[2]], seconds


READING = """
import json, sys, time
from pathlib import Path
import numpy as np
from registry import open_registry

store = open_registry(sys.argv[1])

def read():
    version = store["word/word@production"]
    vectors = version.lookup(["key3", "key7"])
    assert np.isfinite(vectors).all() and vectors.shape == (2, 8)
    version.neighbors("key3", k=3)

read()  # imports what it needs
seen, errors, stop = [], [], Path(sys.argv[2])
print("ready", flush=True)
while not stop.exists():
    began = time.monotonic()
    try:
        read()
    except Exception as error:
        errors.append(repr(error))
    seen.append((began, time.monotonic() - began))
    time.sleep(0.05)
print(json.dumps({"seen": seen, "errors": errors}))
"""


def readers_beside_changes(times, readers=8, seconds=3.0):
    """R12: eight readers, so many publishes, promotions, rollbacks, policies and collections; none may fail."""
    with folder() as root, folder() as signals:
        store = open_registry(root)
        for _ in range(3):
            store.promote(store.publish(_readable_draft()), "production")
        reading = [start(READING, root, signals / "stop", capture=True) for _ in range(readers)]
        ready = [process.stdout.readline() for process in reading]
        time.sleep(seconds)  # what a read takes where nobody writes
        changed = time.monotonic()
        for number in range(times):
            store.promote(store.publish(_readable_draft(seed=number)), "production")
            if number % 5 == 4:
                store.rollback("word/word", "production")
            store.retain("word/word", Keep(last=3))
            store.gc(dt.timedelta(seconds=30))
        (signals / "stop").touch()
        said = [json.loads(process.communicate()[0] or "null") for process in reading]
        problems = [f"a reader ended: {process.returncode}" for process in reading if process.returncode]
        problems += [error for found in said if found for error in found["errors"]]
        _report_latency([pair for found in said if found for pair in found["seen"]], changed)
        if ready != ["ready\n"] * readers:
            problems.append("a reader did not begin")
        return times, problems + list(open_registry(root).verify().problems)


def _readable_draft(seed=0):
    return make_draft(keys=make_keys(200), vectors=make_vectors(200, 8, seed))


def _report_latency(seen, changed):
    """Print how long a read took before and after the changes began; a number of this machine, no promise."""
    idle = [seconds for began, seconds in seen if began < changed]
    busy = [seconds for began, seconds in seen if began >= changed]
    if idle and busy:
        p99 = [round(float(np.quantile(found, 0.99)) * 1e3, 2) for found in (idle, busy)]
        facts = {"row": "R12", "reads": len(seen), "p99_idle_ms": p99[0], "p99_busy_ms": p99[1]}
        print(json.dumps(facts | {"ratio": round(p99[1] / p99[0], 2)}), file=sys.stderr)


ERASED = ["zz-erased-1", "zz-erased-2"]


def registry_with_keys(root, weeks=2, disk=None):
    """A registry that holds the keys of `ERASED` in every place where one can be."""
    store = Store(LocalStorage(root, disk) if disk else LocalStorage(root))
    for week in range(weeks):
        keys = pa.array([*make_keys(6).to_pylist(), ERASED[week % 2], *ERASED[: week > 0 and 1][week % 2 :]])
        count = len(keys)
        version = store.publish(
            make_draft(
                entity="user",
                name="graph",
                week=f"2026-01-{5 + 7 * week:02d}",
                keys=keys,
                vectors=make_vectors(count, 3, week),
                attributes=pa.table({"count": np.arange(count), "users": [[key] for key in keys.to_pylist()]}),
                extra={"context": make_vectors(count, 3, week + 9), "mean": np.ones((1, 3), np.float32)},
            )
        )
        store.add_score(version, Score(task="t", metric="m", value=0.5, rows_used=3, details={"worst": ERASED}))
        store.add_score(version, Score(task="t", metric="n", value=0.5, rows_used=3, details={"seed": 1}))
    for week in range(weeks):
        table = pa.table({"user": [*ERASED[: week + 1], "someone"], "posts": [*range(week + 1), 9]})
        store.publish_features(
            FeatureDraft(entity="user", kind="raw", name="posts", table=table, key="user", created_by=f"run-{week}")
        )
    store.promote("user/graph@v1", "production")
    authors = pa.table({"user_id": [ERASED[0], "someone", None]})
    store.publish(make_draft(entity="tweet", keys=make_keys(3), vectors=make_vectors(3, 2), attributes=authors))
    store.publish(make_draft(entity="word", keys=make_keys(3), vectors=make_vectors(3, 2)))
    return store


def erased_keys(times):
    """R23: erase, crash at so many operations of it, erase again, and look for the bytes."""
    with folder() as root:
        registry_with_keys(root)
        disk = FaultyDisk()
        if not scan_bytes(root, ERASED):
            return 0, ["the scan finds nothing before; it has shown nothing"]
        _erase(Store(LocalStorage(root, disk)))
        problems = list(_after_erasure(root))
    for number in spread(len(disk.trace), times):
        with folder() as root:
            registry_with_keys(root)
            with suppress(Crashed):
                _erase(Store(LocalStorage(root, FaultyDisk(number, None))))
            _erase(open_registry(root))
            problems += [f"crash at operation {number}: {problem}" for problem in _after_erasure(root)]
    return times, problems


def _erase(store):
    return store.erase("user", ERASED, reason="drill")


def _after_erasure(root):
    store = open_registry(root)
    yield from (f"{path} still holds a key" for path in scan_bytes(root, ERASED))
    yield from store.verify().problems
    posts = store.features("user", ["someone", ERASED[0]], ["raw.posts"])
    checks = {
        "the alias moved to another week": store["user/graph@production"].week == "2026-01-05",
        "other values of the tweets changed": store["tweet/word"].attributes()["user_id"].to_pylist()
        == [None, "someone", None],
        "an embedding of another entity was published again": len(store.versions("word/word")) == 1,
        "a retry published again and again": len(store.versions("user/graph")) <= 2 * 3,
        f"the features are {posts.to_pylist()}": posts.column(posts.column_names[-1]).to_pylist() == [9, None],
    }
    yield from (text for text, holds in checks.items() if not holds)
    for week in ("2026-01-05", "2026-01-12"):
        version = store[f"user/graph@{week}"]
        if version.keys().to_pylist() != make_keys(6).to_pylist() or version.extra("context").shape != (6, 3):
            yield f"{version.reference} has other keys than before the erasure"
        if {score.metric for score in version.scores()} != {"m", "n"}:
            yield f"{version.reference} lost scores"


def rare_keys(times):
    """R25: publish with min_count, crashing at a random operation; no byte of a rare key may ever be written."""
    problems = []
    rng = np.random.default_rng(25)
    for number in range(times):
        counts = rng.integers(1, 10, 30)
        counts[:2] = 1, 9
        keys = [f"{'rare' if count < 5 else 'common'}-{i}-key" for i, count in enumerate(counts)]
        draft = make_draft(
            keys=pa.array(keys), vectors=make_vectors(30, 4), attributes=pa.table({"count": counts}), min_count=5
        )
        with folder() as root:
            with suppress(Crashed):
                Store(LocalStorage(root, FaultyDisk(int(rng.integers(5, 60)), None))).publish(draft)
            version = open_registry(root).publish(draft)
            if scan_bytes(root, ["rare-"]):
                problems.append(f"{number}: a rare key was written")
            if version.manifest.left_out != int((counts < 5).sum()) or len(version) != int((counts >= 5).sum()):
                problems.append(f"{number}: {len(version)} published and {version.manifest.left_out} left out")
    return times, problems


DRILLS = {
    "R7": (raced_collections, 200),
    "R12": (readers_beside_changes, 100),
    "R23": (erased_keys, 10_000),
    "R25": (rare_keys, 100),
}
