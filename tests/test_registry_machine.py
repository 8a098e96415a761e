"""The registry against a model of plain Python: any order of publishes, crashes, races, promotions and erasures.

`MACHINE_EXAMPLES=500 pytest tests/test_registry_machine.py` looks longer.
"""

import datetime as dt
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from registry_samples import make_draft, make_vectors
from reliability.faulty_disk import Crashed, FaultyDisk

from registry import Store, errors, open_registry
from registry.keeping.retention import Keep
from registry.keeping.traces import scan_bytes
from registry.storage.local import LocalStorage

NOW = dt.timedelta(0)
KEYS = [f"key-{number}-of-ten" for number in range(10)]
WEEKS = ["2026-01-05", "2026-01-12", "2026-01-19"]
NAME = "word/word"
pick = st.integers(0, 10**6)


class Registry(RuleBasedStateMachine):
    """One embedding; a version is (week, its keys, its seed), and everything that was acknowledged must stay so."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="machine-"))
        self.versions = {}  # number -> (week, keys, seed)
        self.gone = set()
        self.roots = {}  # number -> the version that it stands for, after erasures
        self.moves = []  # what the alias named, oldest first; a rollback takes the last away
        self.pins = {}  # number -> Hold
        self.open = []  # versions that a reader keeps open, with what they hold
        self.runs = 0

    def teardown(self):
        shutil.rmtree(self.root)

    def store(self, disk=None):
        return Store(LocalStorage(self.root, disk) if disk else LocalStorage(self.root))

    def draft(self, week, keys, seed):
        self.runs += 1
        return make_draft(
            week=week, keys=pa.array(keys), vectors=make_vectors(len(keys), 2, seed), created_by=f"run-{self.runs}"
        )

    def live(self):
        return [number for number in self.versions if number not in self.gone]

    def any_live(self, at):
        live = self.live()
        return live[at % len(live)]

    @initialize()
    def begin(self):
        self.publish(WEEKS[0], KEYS, 0)

    @rule(week=st.sampled_from(WEEKS), keys=st.lists(st.sampled_from(KEYS), min_size=1, unique=True), seed=pick)
    def publish(self, week, keys, seed):
        version = self.store().publish(self.draft(week, keys, seed))
        assert version.number == len(self.versions) + 1
        self.versions[version.number] = (week, keys, seed)

    @rule(at=st.integers(0, 70), error=st.sampled_from([None, 5, 28]), week=st.sampled_from(WEEKS), seed=pick)
    def publish_through_a_fault_and_again(self, at, error, week, seed):
        draft = self.draft(week, KEYS[:3], seed)
        with suppress(Crashed, OSError):
            self.store(FaultyDisk(at, error)).publish(draft)
        version = self.store().publish(draft)
        assert version.number == len(self.versions) + 1  # one version, whichever of the two calls made it
        self.versions[version.number] = (week, KEYS[:3], seed)

    @rule(seed=pick)
    def race(self, seed):
        """Another publisher wins the number between the look and the link."""
        test, other = self, self.draft(WEEKS[1], KEYS[:2], seed)

        class Overtaken(FaultyDisk):
            def link(self, source, target):
                if target.parent.name == "log" and ("raced", target) not in self.trace:
                    self.trace += [("raced", target.with_name(f"{number:08d}.json")) for number in range(100)]
                    assert test.store().publish(other).number == len(test.versions) + 1
                super().link(source, target)

        version = self.store(Overtaken()).publish(self.draft(WEEKS[2], KEYS[:4], seed + 1))
        number = len(self.versions) + 1
        self.versions[number] = (WEEKS[1], KEYS[:2], seed)
        assert version.number == number + 1
        self.versions[version.number] = (WEEKS[2], KEYS[:4], seed + 1)

    @precondition(lambda self: self.live())
    @rule(at=pick)
    def promote(self, at):
        number = self.any_live(at)
        self.store().promote(f"{NAME}@v{number}", "production")
        if self.moves[-1:] != [number]:
            self.moves.append(number)

    @precondition(lambda self: self.live())
    @rule(at=pick)
    def promote_with_a_wrong_belief(self, at):
        number = self.any_live(at)
        with pytest.raises(errors.Conflict):
            self.store().promote(f"{NAME}@v{number}", "production", expect="v99999")

    @precondition(lambda self: len(set(self.moves) - self.gone) > 1)
    @rule()
    def rollback(self):
        now = self.moves.pop()
        while self.moves and (self.moves[-1] in self.gone or self.moves[-1] == now):
            self.moves.pop()
        if not self.moves:
            self.moves.append(now)
            with pytest.raises(errors.UnknownVersion):
                self.store().rollback(NAME, "production")
            return
        assert self.store().rollback(NAME, "production").version == self.moves[-1]

    @precondition(lambda self: self.live())
    @rule(at=pick)
    def read(self, at):
        number = self.any_live(at)
        self.open.append((self.store()[f"{NAME}@v{number}"], number))
        self.open[-1][0].numpy()

    @precondition(lambda self: self.live())
    @rule(at=pick)
    def pin(self, at):
        number = self.any_live(at)
        self.pins[number] = self.store().pin(f"{NAME}@v{number}", reason="machine")

    @precondition(lambda self: self.pins)
    @rule()
    def release(self):
        self.store().release(self.pins.popitem()[1])

    @rule()
    def collect(self):
        self.store().gc(NOW)
        attempts = {path.name for path in self.root.glob("word/word/versions/*")}
        infos = {info.number: info.attempt for info in self.store().versions(NAME)}
        assert attempts == {infos[number] for number in self.live()}

    @rule(last=st.integers(1, 4))
    def retain(self, last):
        newest = sorted(self.live(), key=self.recency)[-last:]
        named = set(self.moves[-1:])
        undo = [number for number in self.moves[:-1] if number != self.moves[-1]][-1:] if self.moves else []
        found = self.store().retain(NAME, Keep(last=last))
        retired = {int(reference.partition("@v")[2]) for reference in found.retired}
        assert not retired & (set(newest) | named | set(self.pins))
        assert set(self.live()) - retired <= set(newest) | named | set(self.pins) | set(undo) | set(self.moves)
        self.gone |= retired

    def recency(self, number):
        """A replacement is as old as what it replaced."""
        return self.versions[number][0], self.roots.get(number, number), number

    @precondition(lambda self: self.live())
    @rule(at=pick, fault=st.integers(0, 300))
    def erase_through_a_crash(self, at, fault):
        key = KEYS[at % len(KEYS)]
        with suppress(Crashed):
            self.store(FaultyDisk(fault, None)).erase("word", key, reason="machine")
        self.store().erase("word", key, reason="machine")
        assert scan_bytes(self.root, key) == []
        self.follow_erasure(key)

    def follow_erasure(self, key):
        """Each version that held the key was replaced, in the order of their numbers, by one without."""
        infos = {info.number: info for info in self.store().versions(NAME)}
        stands_for = {}
        for number in [n for n in self.live() if key in self.versions[n][1]]:
            week, keys, seed = self.versions[number]
            made = [n for n, info in infos.items() if info.created_by == f"erasure from {NAME}@v{number}"]
            assert len(made) == (keys != [key])
            self.gone.add(number)
            self.pins.pop(number, None)
            stands_for[number] = made[0] if made else None
            if made:
                self.roots[made[0]] = self.roots.get(number, number)
                self.versions[made[0]] = (week, [one for one in keys if one != key], (seed, keys))
        self.moves = [stands_for.get(number) or number for number in self.moves]

    @invariant()
    def everything_acknowledged_is_there(self):
        if not self.versions:
            return
        store = open_registry(self.root)
        report = store.verify()
        assert report.ok, report.problems
        assert [info.number for info in store.versions(NAME)] == list(range(1, len(self.versions) + 1))
        assert report.versions == len(self.live())
        for number, (week, keys, seed) in self.versions.items():
            if number in self.gone:
                with pytest.raises((errors.Retired, errors.Erased)):
                    store[f"{NAME}@v{number}"]
                continue
            version = store[f"{NAME}@v{number}"]
            assert (version.week, version.keys().to_pylist()) == (week, list(keys))
            np.testing.assert_array_equal(version.numpy(), vectors_of(keys, seed))
        for version, number in self.open:
            np.testing.assert_array_equal(version.numpy(), vectors_of(*self.versions[number][1:]))
        if self.moves and self.moves[-1] not in self.gone:
            assert store[f"{NAME}@production"].number == self.moves[-1]


def vectors_of(keys, seed):
    """What was published under a seed, or, after erasures, the rows of it that are left."""
    if not isinstance(seed, tuple):
        return make_vectors(len(keys), 2, seed)
    seed, before = seed
    return vectors_of(before, seed)[[before.index(key) for key in keys]]


Registry.TestCase.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "8")),
    stateful_step_count=12,
    deadline=None,
    derandomize="MACHINE_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
    # shrinking a failure takes minutes: the longer look does it
    phases=tuple(Phase) if "MACHINE_EXAMPLES" in os.environ else (Phase.generate,),
)
TestRegistry = Registry.TestCase
