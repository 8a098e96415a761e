"""What is collected and what is kept: RELIABILITY.md R7 and R12 in small, pins, leases and policies."""

import datetime as dt
import time

import numpy as np
import pytest
from registry_samples import make_draft, make_keys, make_vectors
from reliability.drills_publishing import small_draft
from reliability.drills_retention import raced_collections, readers_beside_changes

from registry import Store, errors, layout, open_registry
from registry.keeping.retention import Keep
from registry.logs.claims import claim, condemn
from registry.storage.local import Disk, LocalStorage

NOW = dt.timedelta(0)
PLACE = layout.Place("word", "word")
OLD = "20250101T000000000000-0123456789ab"


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


def folder_of(store, number):
    return PLACE.attempt(store.versions("word/word")[number - 1].attempt)


def plant(tmp_path, path):
    (tmp_path / "registry" / path).mkdir(parents=True)
    (tmp_path / "registry" / path / "keys.idx").write_bytes(b"torn")


def test_an_attempt_is_collected_by_its_age(store, tmp_path):
    store.publish(small_draft())
    young = layout.new_attempt()
    for name in (OLD, young, "notes"):
        plant(tmp_path, f"word/word/versions/{name}")
    expected = store.gc(dry_run=True)
    assert store.gc() == type(expected)(removed=expected.removed, kept=expected.kept, bytes=4)
    assert expected.removed == [PLACE.attempt(OLD)]
    assert expected.kept == {PLACE.attempt(young): "younger than the age"}
    left = {path.name for path in (tmp_path / "registry/word/word/versions").iterdir()}
    assert left == {young, "notes", store["word/word"].info.attempt}
    assert store.verify().ok
    assert store.gc().removed == []


def test_a_dry_run_removes_nothing(store, tmp_path):
    plant(tmp_path, PLACE.attempt(OLD))
    assert store.gc(dry_run=True).removed == [PLACE.attempt(OLD)]
    assert (tmp_path / "registry" / PLACE.attempt(OLD) / "keys.idx").exists()
    assert not (tmp_path / "registry" / PLACE.claims).exists()


def test_temporary_files_of_killed_writers_are_collected(store, tmp_path):
    store.publish(small_draft())
    old, young = f".tmp-{OLD}", layout.new_temporary()
    for name in (old, young):
        (tmp_path / "registry/word/word/log" / name).write_bytes(b"torn")
    assert store.gc().removed == [f"word/word/log/{old}"]
    assert store.gc(NOW).removed == [f"word/word/log/{young}"]
    assert store.verify().ok


def test_a_lease_on_an_embedding_keeps_what_is_being_published(store, tmp_path):
    plant(tmp_path, PLACE.attempt(OLD))
    with pytest.raises(errors.UnknownEmbedding):  # a misspelt name would protect nothing
        store.lease("word/word", seconds=60, reason="a long publish")
    with pytest.raises(errors.UnknownEmbedding):
        store.holds("word/word")
    with store.lease("word/word", seconds=60, reason="a long publish", first=True) as lease:
        assert "a long publish" in store.gc(NOW).kept[PLACE.attempt(OLD)]
        lease.renew(120)
        assert store.holds("word/word") == [lease.hold]
    assert store.holds("word/word") == []
    assert store.gc(NOW).removed == [PLACE.attempt(OLD)]


def test_a_lease_ends_by_itself(store):
    store.publish(small_draft())
    dead = store.lease("word/word@v1", seconds=0.1, reason="a reader that died")
    alive = store.lease("word/word@v1", seconds=60, reason="one that lives")
    time.sleep(0.1)
    assert store.holds("word/word") == [alive.hold]
    dead.renew(60)
    assert store.holds("word/word") == [dead.hold, alive.hold]


def test_a_policy_retires_what_nothing_keeps(store):
    for week in ("2026-01-05", "2026-01-12", "2026-01-12", "2026-01-19", "2026-01-19"):
        store.publish(small_draft(week=week))
    store.promote("word/word@v2", "production")
    pin = store.pin("word/word@v1", reason="the paper's table")
    expected = store.retain("word/word", Keep(last=1, weeks=2), dry_run=True)
    found = store.retain("word/word", Keep(last=1, weeks=2))
    assert found.retired == expected.retired == ["word/word@v4"]
    assert {reference[-2:]: why for reference, why in found.kept.items()} == {
        "v1": f"held by {pin.by} until released: the paper's table",
        "v2": "named by production",
        "v3": "one of the newest 2 weeks",
        "v5": "one of the last 1",
    }
    with pytest.raises(errors.Retired, match=r"v4 was retired at .*: Keep\(last=1, weeks=2, aliased=True\)"):
        store["word/word@v4"]
    assert store["word/word@2026-01-19"].number == store["word/word@latest"].number == 5
    store.release(pin)
    assert store.retain("word/word", Keep(weeks=1, aliased=False)).retired == [f"word/word@v{n}" for n in (1, 2, 3)]


def test_what_a_rollback_returns_to_is_kept(store):
    for _ in range(4):
        store.publish(small_draft())
    for number in (1, 2, 3):
        store.promote(f"word/word@v{number}", "production")
    assert store.retain("word/word", Keep(last=1)).retired == ["word/word@v1"]
    store.rollback("word/word", "production")
    assert store["word/word@production"].number == 2


def test_what_stands_in_for_a_rollback_target_is_kept(store):
    store.publish(make_draft(week="2026-01-05"))
    store.publish(make_draft(keys=make_keys(3), vectors=make_vectors(3), week="2026-01-12"))
    for number in (1, 2):
        store.promote(f"word/word@v{number}", "production")
    store.erase("word", "key7", reason="asked for")  # v3 takes the place of v1, to which a rollback returns
    found = store.retain("word/word", Keep(last=1))
    assert (found.retired, found.kept["word/word@v3"]) == ([], "what a rollback of production returns to")
    assert store.rollback("word/word", "production").version == 3


def test_a_version_that_a_rollback_returns_to_is_not_retired_meanwhile(tmp_path):
    for number in (1, 2):
        open_registry(tmp_path).publish(small_draft())
        open_registry(tmp_path).promote(f"word/word@v{number}", "production")
    found = []

    class Interrupted(Disk):
        """A policy is applied right before the alias moves."""

        def link(self, source, target):
            if target.parent.name == "production":
                found.append(open_registry(tmp_path).retain("word/word", Keep(last=1, aliased=False)))
            super().link(source, target)

    Store(LocalStorage(tmp_path, Interrupted())).rollback("word/word", "production")
    assert found[0].retired == []
    assert open_registry(tmp_path)["word/word@production"].number == 1


def test_a_retired_version_can_be_read_on_until_its_age_is_over(store, tmp_path):
    version = store.publish(small_draft())
    fresh = open_registry(store.root)["word/word@v1"]
    store.publish(small_draft())
    mapped = version.numpy()
    assert store.retain("word/word", Keep(last=1)).retired == ["word/word@v1"]
    folder = folder_of(store, 1)
    assert store.gc().kept[folder].startswith("retired only at")
    np.testing.assert_array_equal(fresh.numpy(), make_vectors(4, 2))  # not opened before
    assert store.gc(NOW).removed == [folder]
    assert not (tmp_path / "registry" / folder).exists()
    np.testing.assert_array_equal(mapped, make_vectors(4, 2))
    assert store.verify().versions == 1
    assert store.verify().ok


def test_a_version_that_is_gone_cannot_be_held_or_promoted(store):
    for _ in range(2):
        store.publish(small_draft())
    store.retain("word/word", Keep(last=1))
    for use in (
        lambda: store.pin("word/word@v1", reason="too late"),
        lambda: store.lease("word/word@v1", seconds=9, reason="too late"),
        lambda: store.promote("word/word@v1", "production"),
    ):
        with pytest.raises(errors.Retired):
            use()


def test_a_hold_that_comes_while_a_policy_decides_wins(tmp_path):
    open_registry(tmp_path).publish(small_draft())
    open_registry(tmp_path).publish(small_draft())

    class Interrupted(Disk):
        """Pins version 1 between the policy's look and its tombstone."""

        def link(self, source, target):
            if target.parent.name == "retention" and not other.holds("word/word"):
                other.pin("word/word@v1", reason="just now")
            super().link(source, target)

    other = open_registry(tmp_path)
    found = Store(LocalStorage(tmp_path, Interrupted())).retain("word/word", Keep(last=1))
    assert found.retired == []
    assert "just now" in found.kept["word/word@v1"]


def test_a_publisher_whose_attempt_was_collected_is_told(tmp_path):
    class Sleepy(Disk):
        """Is overtaken by a collection when all files of the attempt are written."""

        def sync(self, path):
            super().sync(path)
            if path.name == "versions":
                assert len(open_registry(tmp_path).gc(NOW).removed) == 1

    with pytest.raises(errors.Conflict, match=r"collected as left over by .* publish again"):
        Store(LocalStorage(tmp_path, Sleepy())).publish(small_draft())
    assert open_registry(tmp_path).names() == []
    assert not list(tmp_path.glob("word/word/versions/*"))
    assert open_registry(tmp_path).publish(small_draft()).number == 1


def test_an_attempt_that_is_about_to_be_named_is_kept(store, tmp_path):
    storage = LocalStorage(tmp_path / "registry")
    store.publish(small_draft())
    plant(tmp_path, PLACE.attempt(OLD))
    claim(storage, PLACE, OLD, 2)  # its publisher sleeps right before it names the attempt version 2
    assert store.gc(NOW).kept == {PLACE.attempt(OLD): "its publisher is about to name it"}
    store.publish(small_draft())  # somebody else becomes version 2: the claim is spent
    assert store.gc(NOW).removed == [PLACE.attempt(OLD)]
    with pytest.raises(errors.Conflict, match="collected"):
        claim(storage, PLACE, OLD, 3)


def test_what_was_named_after_the_look_is_not_collected(store, tmp_path):
    storage = LocalStorage(tmp_path / "registry")
    version = store.publish(small_draft())
    # A collector that listed the attempt before its publisher named it: condemned, and then seen to be alive.
    assert condemn(storage, PLACE, version.info.attempt, 0)
    assert store.gc(NOW).removed == []
    assert store.verify().ok


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "needs last= or weeks="), ({"last": 0}, "Keep.last is 0"), ({"weeks": True}, "Keep.weeks is True")],
)
def test_a_policy_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(errors.InvalidQuery, match=message):
        Keep(**settings)


def test_holds_without_a_reason_or_a_future_are_refused(store):
    store.publish(make_draft())
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with pytest.raises(errors.InvalidQuery, match="needs a reason"):
        store.pin("word/word", reason=" ")
    with pytest.raises(errors.InvalidQuery, match=r"until is .*; give a moment that is to come"):
        store.pin("word/word", reason="x", until=yesterday)
    with pytest.raises(errors.InvalidQuery, match="with its zone"):
        store.pin("word/word", reason="x", until=dt.datetime(2999, 1, 1))  # noqa: DTZ001 - what is refused
    with pytest.raises(errors.UnknownVersion):
        store.pin("word/word@v9", reason="x")
    with pytest.raises(errors.InvalidQuery, match="not negative"):
        store.gc(-dt.timedelta(1))


def test_collections_race_with_publishers_and_no_version_is_lost():
    assert raced_collections(12) == (12, [])


def test_readers_notice_nothing_of_publishes_rollbacks_and_collections():
    assert readers_beside_changes(4, readers=2, seconds=0.3) == (4, [])


def test_a_version_that_is_being_promoted_is_not_retired(tmp_path):
    for _ in range(2):
        open_registry(tmp_path).publish(small_draft())
    found = []

    class Interrupted(Disk):
        """A policy is applied right before the alias moves."""

        def link(self, source, target):
            if target.parent.name == "production":
                found.append(open_registry(tmp_path).retain("word/word", Keep(last=1)))
            super().link(source, target)

    Store(LocalStorage(tmp_path, Interrupted())).promote("word/word@v1", "production")
    assert found[0].retired == []
    assert open_registry(tmp_path)["word/word@production"].number == 1
    assert open_registry(tmp_path).holds("word/word") == []
