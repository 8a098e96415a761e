"""R1 to R4 and R6: whatever dies, fails, fills up or races while publishing, a version is whole or absent."""

import errno
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from registry_samples import make_draft, make_keys, make_vectors
from reliability.faulty_disk import Crashed, FaultyDisk

from registry import Store, open_registry
from registry.storage.local import LocalStorage

TESTS = Path(__file__).resolve().parents[1]
FAULTS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "crash": None}


def small_draft(**changes):
    return make_draft(keys=make_keys(4), vectors=make_vectors(4, 2), **changes)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="drill-") as path:
        yield Path(path)


def start(code, *arguments, capture=False):
    """Run a text of Python that can import the registry and the tests' samples."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    output = subprocess.PIPE if capture else None
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=output, text=True
    )


def spread(count, times):
    """At most `times` different whole numbers below `count`, evenly spread, the first and the last among them."""
    return sorted({int(at) for at in np.linspace(0, count - 1, min(times, count))})


KILLED = """
import os, random, signal, sys, time
import annoy, numpy, pyarrow.parquet  # before the forks, or each would import them anew
pyarrow.array(numpy.zeros(1))  # imports pandas, where that is installed
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

def attempts():
    return len(os.listdir(sys.argv[1] + "/word/word/versions"))

random.seed(int(sys.argv[2]))
assert os.waitpid(fork(1), 0)[1] == 0
started = time.monotonic()
assert os.waitpid(fork(3), 0)[1] == 0
seconds = (time.monotonic() - started) / 3
for _ in range(int(sys.argv[3])):
    before = attempts()
    child = fork(1000)
    while attempts() == before:  # or kills would fall into what comes before the first publish
        time.sleep(0.0005)
    time.sleep(random.uniform(0, 2 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def killed_publishers(times):
    """R1: kill -9 at random moments of publishing."""
    with folder() as root:
        code = start(KILLED, root, 7, times).wait()
        store = open_registry(root)
        report = store.verify()
        numbers = [info.number for info in store.versions("word/word")]
        attempts = len(list(root.glob("word/word/versions/*")))
        problems = [f"the drill itself ended with {code}"] * (code != 0) + list(report.problems)
        if numbers != list(range(1, report.versions + 1)):
            problems.append(f"versions {numbers}, but {report.versions} are whole")
        if attempts == len(numbers):
            problems.append("no kill fell into a publish; the drill has shown nothing")
        if store.publish(small_draft()).number != len(numbers) + 1:
            problems.append("the next publish did not get the next number")
        return times, problems


def failing_operations(times):
    """R2: fail operation i of a publish in three ways, each for so many i, or for every i there is."""
    tried, problems = 0, []
    for (name, error), before in itertools.product(FAULTS.items(), (0, 1)):
        with folder() as root:
            count = _fail_one(root, sys.maxsize - 1, error, before)[0]  # none fails
        if count <= 30:
            problems.append(f"{name}: a publish of only {count} operations; the drill has shown little")
        for number in spread(count, times):
            with folder() as root:
                found = _fail_one(root, number, error, before)[1]
            problems += [f"{name} at operation {number} with {before} versions: {problem}" for problem in found]
            tried += 1
    return tried, problems


def _fail_one(root, number, error, before):
    """How many operations the publish had, and what is wrong with what it left when number `number` failed."""
    for _ in range(before):
        open_registry(root).publish(small_draft())
    disk = FaultyDisk(number, error)
    with suppress(OSError, Crashed):  # a failed clean-up after the version exists is not an error
        Store(LocalStorage(root, disk)).publish(small_draft())
    after, problems = whole_or_absent(root, before)
    entry = ("link", root / f"word/word/log/{before + 1:08d}.json")
    # What comes after a failure may still succeed: a temporary file that stays is no reason to give up.
    linked = entry in disk.trace[:number] or (error is not None and entry in disk.trace[number + 1 :])
    if (after == before + 1) != linked:
        problems.append(f"{after} versions, though its log entry was {'' if linked else 'not '}linked")
    left = len(list(root.glob("word/word/versions/*")))
    # Once the attempt is whole and durable, its log entry may be under way.
    whole = entry in disk.trace or ("sync", root) in disk.trace[:number]
    if error is not None and left != before + whole:
        problems.append(f"{left} attempts are left: written in vain, and not removed")
    open_registry(root).publish(small_draft())
    return len(disk.trace), problems + whole_or_absent(root, after + 1)[1]


def whole_or_absent(root, before):
    """How many versions there are, and what is wrong unless it is `before` or one more, all whole."""
    store = open_registry(root)
    report = store.verify()
    problems = list(report.problems)
    if report.versions not in (before, before + 1):
        problems.append(f"{report.versions} versions after {before}")
    published = [store[info.reference] for info in store.versions("word/word")] if report.versions else []
    changed = [one.reference for one in published if not np.array_equal(one.numpy(), make_vectors(4, 2))]
    problems += [f"{reference} has other vectors" for reference in changed]
    return report.versions, problems


def order_of_writes(times):
    """R3: what is acknowledged was synced before it was named, and its name before the answer."""
    problems = []
    for _ in range(times):
        with folder() as base:
            root = base / "new" / "root"
            disk = FaultyDisk()
            Store(LocalStorage(root, disk)).publish(small_draft())
            problems += list(_unordered(disk.trace, root))
    return times, problems


def _unordered(trace, root):
    log = root / "word/word/log"
    link = trace.index(("link", log / "00000001.json"))
    synced = {path: at for at, (operation, path) in enumerate(trace) if operation == "sync"}
    written = [path for operation, path in trace if operation == "produce"]
    if len(written) < 6:
        yield f"only {len(written)} files were written"
    complete = max(synced[path] for path in written)
    if trace[link - 1] != ("sync", trace[link - 1][1]) or not trace[link - 1][1].name.startswith(".tmp-"):
        yield f"the log entry was linked after {trace[link - 1]}, not after its own sync"
    attempt = written[0].parent
    for path in (attempt, *attempt.parents[:4]):  # versions, word, word, root
        if not complete < trace.index(("sync", path)) < link:
            yield f"{path} was not synced between the files and the log entry"
    for made, parent in [(root, root.parent), (root.parent, root.parent.parent)]:
        if not trace.index(("make_folder", made)) < trace.index(("sync", parent)) < link:
            yield f"{parent} was not synced after {made} was made"
    if ("sync", log) not in trace[link:]:
        yield "the log's folder was not synced after the entry was linked"


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


def racing_publishers(times, writers=3):
    """R4: several publish at once, each for itself and all of them the same; each gets what is its own."""
    with folder() as root:
        racing = [start(RACE, root, f"w{writer}", times) for writer in range(writers)]
        codes = [process.wait() for process in racing]
        store = open_registry(root)
        report = store.verify()
        infos, shared = store.versions("word/word"), store.versions("word/shared")
        runs = {f"w{writer}-{i}" for writer in range(writers) for i in range(times)}
        stamps = [info.published_at for info in infos]
        checks = {
            f"the writers ended with {codes}": codes == [0] * writers,
            "the numbers are not 1, 2, 3, ...": [i.number for i in infos] == list(range(1, writers * times + 1)),
            "a run has no version of its own": {info.created_by for info in infos} == runs,
            "a later number has an earlier time": stamps == sorted(stamps),
            # Each `shared` draft was published by all writers at once, as a zombie beside its retry would.
            "a retry published twice": [info.created_by for info in shared] == [f"step-{i}" for i in range(times)],
            f"{report.scores} scores": report.scores == writers * times + times,
        }
        return writers * times, [text for text, holds in checks.items() if not holds] + list(report.problems)


FULL = """
import errno, resource, sys
from registry import open_registry
from registry_samples import make_draft, make_keys, make_vectors

if int(sys.argv[3]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
for _ in range(int(sys.argv[2])):
    try:
        draft = make_draft(name="big", keys=make_keys(5_000), vectors=make_vectors(5_000, 64))
        open_registry(sys.argv[1]).publish(draft)
    except OSError as error:
        full = (errno.ENOSPC, errno.EFBIG)
        assert error.errno in full or any(f"({code})" in str(error) for code in full), error  # Annoy's has no errno
        sys.exit(7)
"""


def full_disk(times):
    """R6: publish until the disk is full: a 64 MB tmpfs where one may be mounted, else a limit on a file's size."""
    problems = []
    for number in range(times):
        with folder() as root, small_disk(root) as limited:
            open_registry(root).publish(small_draft())
            if limited:  # or most of the time goes into filling it
                (root / "ballast").write_bytes(b"x" * (56 << 20))
            code = start(FULL, root, 20, 0 if limited else 1 << 20).wait()
            if code != 7:
                problems.append(f"{number}: the publisher ended with {code}, not with 'no space left'")
            problems += [f"{number}: {problem}" for problem in open_registry(root).verify().problems]
            if not np.array_equal(open_registry(root)["word/word"].numpy(), make_vectors(4, 2)):
                problems.append(f"{number}: the old version changed")
            named = open_registry(root).names()
            whole = len(open_registry(root).versions("word/big")) if "word/big" in named else 0
            if len(list(root.glob("word/big/versions/*"))) != whole:
                problems.append(f"{number}: what was written in vain was not removed")
    return times, problems


@contextmanager
def small_disk(root: Path) -> Iterator[bool]:
    """Mount 64 MB of memory on a folder; yields whether that was permitted."""
    mounted = False
    with suppress(FileNotFoundError):
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(root)]
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(root)], check=True)


DRILLS = {
    "R1": (killed_publishers, 200),
    "R2": (failing_operations, 10_000),
    "R3": (order_of_writes, 5),
    "R4": (racing_publishers, 40),
    "R6": (full_disk, 3),
}
