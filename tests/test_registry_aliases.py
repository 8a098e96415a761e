import threading

import pyarrow as pa
import pytest
from registry_samples import make_draft, make_keys, make_vectors, tombstone
from reliability.drills_promotion import racing_promotions

from registry import Score, Store, open_registry
from registry.errors import (
    AliasNotFound,
    BadReference,
    Conflict,
    Corrupt,
    Erased,
    GateFailed,
    InvalidPromotion,
    InvalidScore,
    UnknownEmbedding,
    UnknownVersion,
)
from registry.gates import MaxShrink
from registry.layout import Place
from registry.logs.aliases import Alias
from registry.storage.local import Disk, LocalStorage

NOW = "2026-03-01T00:00:00+00:00"


@pytest.fixture
def store(tmp_path):
    store = open_registry(tmp_path / "registry")
    for _ in range(4):
        store.publish(make_draft())
    return store


def targets(store, alias="production"):
    return [(move.action, move.version) for move in store.history("word/word", alias)]


def test_a_promotion_is_recorded_with_who_when_from_and_to(store):
    first = store.promote("word/word@v1", "production", expect=None, reason="the first")
    second = store.promote(store["word/word@v2"], "production", expect="v1", gates=[MaxShrink(0.5)])
    assert (first.number, first.previous, first.version, first.reason) == (1, None, 1, "the first")
    assert (second.number, second.previous, second.reference) == (2, 1, "word/word@v2")
    assert second.promoted_at >= first.promoted_at
    assert "@" in second.promoted_by
    (result,) = second.gates
    assert (result.name, result.passed, result.numbers["shrink"]) == ("MaxShrink(share=0.5)", True, 0.0)
    again = open_registry(store.root)
    assert again.history("word/word", "production") == [first, second]
    assert again.aliases("word/word") == {"production": second}
    assert again["word/word@production"].number == 2


def test_promoting_what_is_there_already_changes_nothing(store):
    first = store.promote("word/word@v1", "production")
    assert store.promote("word/word@v1", "production") == first
    assert len(store.history("word/word", "production")) == 1


def test_another_version_than_expected_is_a_conflict_that_names_it(store):
    store.promote("word/word@v1", "production")
    with pytest.raises(Conflict, match="word/word@production was expected not set yet, but it is at v1 since"):
        store.promote("word/word@v2", "production", expect=None)
    with pytest.raises(Conflict, match="expected at v3, but it is at v1"):
        store.promote("word/word@v2", "production", expect="v3")
    with pytest.raises(Conflict, match="expected at v3, but it is not set"):
        store.promote("word/word@v2", "canary", expect="v3")
    with pytest.raises(BadReference, match="expect is '3'"):
        store.promote("word/word@v2", "production", expect="3")
    assert targets(store) == [("promote", 1)]


def test_who_loses_the_race_is_told_what_is_there_now(store):
    store.promote("word/word@v1", "production")
    pointer = Alias(store._catalog, Place("word", "word"), "production")
    seen = pointer.current()
    open_registry(store.root).promote("word/word@v3", "production")  # somebody else, after we looked
    with pytest.raises(Conflict, match="moved by another writer: it is at v3"):
        pointer.move(seen, 2, "promote", seen.number)
    assert targets(store) == [("promote", 1), ("promote", 3)]


def test_a_gate_that_lets_another_writer_in_does_not_win(store):
    def slow(candidate, current):
        open_registry(store.root).promote("word/word@v4", "production")
        return True

    with pytest.raises(Conflict, match="it is at v4"):
        store.promote("word/word@v2", "production", gates=[slow])
    assert targets(store) == [("promote", 4)]


def test_of_racing_threads_one_wins_each_round(store):
    rounds, writers = 5, 3
    gate, won, told = threading.Barrier(writers), [], []

    def write(version):
        own = open_registry(store.root)
        for number in range(rounds):
            gate.wait()
            try:
                won.append(own.promote(f"word/word@v{version}", f"round-{number}", expect=None).version)
            except Conflict:
                told.append(version)

    threads = [threading.Thread(target=write, args=(version,)) for version in range(1, writers + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(told)) == (rounds, rounds * (writers - 1))
    assert {move.version for move in store.aliases("word/word").values()} <= set(won)
    assert store.verify().ok


def test_of_racing_processes_one_wins_and_the_others_are_told():
    tried, problems = racing_promotions(3)
    assert (tried, problems) == (3, [])


def test_rollback_goes_back_step_by_step(store):
    for number in (1, 2, 3):
        store.promote(f"word/word@v{number}", "production")
    back = store.rollback("word/word", "production", expect="v3", reason="worse for Finnish")
    assert (back.action, back.version, back.previous, back.reason) == ("rollback", 2, 3, "worse for Finnish")
    assert store.rollback("word/word", "production").version == 1
    with pytest.raises(UnknownVersion, match="is at v1, and there is no earlier version"):
        store.rollback("word/word", "production")
    store.promote("word/word@v4", "production")
    assert store.rollback("word/word", "production").version == 1  # 2 and 3 were rolled back before
    assert targets(store)[-4:] == [("rollback", 2), ("rollback", 1), ("promote", 4), ("rollback", 1)]
    with pytest.raises(Conflict, match="expected at v2"):
        store.rollback("word/word", "production", expect="v2")
    with pytest.raises(AliasNotFound, match="its aliases: production"):
        store.rollback("word/word", "blue")


def test_rollback_passes_over_what_is_gone_and_takes_stand_ins(store):
    for number in (1, 2, 3):
        store.promote(f"word/word@v{number}", "production")
    tombstone(store, 2, NOW)
    tombstone(store, 1, NOW, replaced_by=4)
    assert store.rollback("word/word", "production").version == 4
    with pytest.raises(UnknownVersion):
        store.rollback("word/word", "production")


def test_an_alias_leaves_a_replaced_version_with_history(store):
    store.promote("word/word@v1", "production")
    store.promote("word/word@v2", "production")
    pointer = Alias(store._catalog, Place("word", "word"), "production")
    assert pointer.leave_replaced("erasure") is None
    tombstone(store, 2, NOW, replaced_by=3)
    assert pointer.leave_replaced("erasure").version == 3
    assert targets(store) == [("promote", 1), ("promote", 2), ("replace", 3)]
    assert store.rollback("word/word", "production").version == 1  # one step, not back to v2
    tombstone(store, 1, NOW)
    assert pointer.leave_replaced("erasure") is None  # gone for good: resolving it is an error that says so


@pytest.mark.parametrize(("left", "standing"), [(3, 5), (0, None)])
def test_an_alias_does_not_stay_on_what_was_erased_while_it_moved(tmp_path, left, standing):
    kept = make_keys(3).to_pylist()[:left]
    for keys in (["other"], [*kept, "gone"], ["another"], ["last"]):
        open_registry(tmp_path).publish(make_draft(keys=pa.array(keys), vectors=make_vectors(len(keys))))
    open_registry(tmp_path).promote("word/word@v1", "production")

    class Interrupted(Disk):
        """Version 2 is erased right before the alias moves to it."""

        def link(self, source, target):
            if target.parent.name == "production" and target.name == "00000002.json":
                open_registry(tmp_path).erase("word", "gone", reason="asked for")
            super().link(source, target)

    late = Store(LocalStorage(tmp_path, Interrupted()))
    if standing is None:
        with pytest.raises(Erased, match="word/word@v2 was erased"):
            late.promote("word/word@v2", "production")
    else:
        moved = late.promote("word/word@v2", "production")
        assert (moved.version, moved.action) == (standing, "replace")
        assert open_registry(tmp_path)["word/word@production"].keys().to_pylist() == kept


def test_a_version_of_another_registry_is_neither_promoted_nor_scored(store, tmp_path):
    other = open_registry(tmp_path / "other").publish(make_draft())
    with pytest.raises(InvalidPromotion, match="is of another registry"):
        store.promote(other, "production")
    score = Score(task="t", metric="m", value=1.0, rows_used=1)
    for one in (other, other.info):
        with pytest.raises(InvalidScore, match="word/word@v1 is of another registry"):
            store.add_score(one, score)
    assert store.aliases("word/word") == {}
    assert store["word/word@v1"].scores() == []


def test_a_version_that_was_replaced_takes_no_score(store):
    opened = store["word/word@v1"]
    tombstone(store, 1, NOW, replaced_by=4)
    with pytest.raises(Erased, match="read word/word@v4 instead"):
        store.add_score(opened, Score(task="t", metric="m", value=1.0, rows_used=1))


def test_what_is_erased_cannot_be_promoted_even_by_force(store):
    opened = store["word/word@v2"]
    tombstone(store, 2, NOW)
    for version in (opened, "word/word@v2"):
        with pytest.raises(Erased, match="word/word@v2 was erased"):
            store.promote(version, "production", force=True, reason="please")
    assert store.aliases("word/word") == {}


def test_a_refused_promotion_changes_nothing_and_lists_every_gate(store):
    store.promote("word/word@v1", "production")

    def never(candidate, current):
        return False

    with pytest.raises(GateFailed) as caught:
        store.promote("word/word@v2", "production", gates=[never, MaxShrink(0.5)])
    message = str(caught.value)
    assert "word/word@v2 was not promoted to word/word@production, refused by 1 of 2 gates" in message
    assert "REFUSED never: it does not hold; passed MaxShrink(share=0.5): 37 keys became 37" in message
    assert [result.passed for result in caught.value.results] == [False, True]
    assert targets(store) == [("promote", 1)]
    forced = store.promote("word/word@v2", "production", gates=[never], force=True, reason="a fix for v1")
    assert (forced.forced, forced.reason, forced.gates[0].passed) == (True, "a fix for v1", False)
    assert store.promote("word/word@v3", "production", force=True, reason="sure").forced is False


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_force_needs_a_reason(store, reason):
    with pytest.raises(InvalidPromotion, match="needs a reason"):
        store.promote("word/word@v1", "production", force=True, reason=reason)


def test_gates_compare_with_what_replaced_the_current_version(store):
    store.promote("word/word@v1", "production")
    tombstone(store, 1, NOW, replaced_by=4)
    seen = []

    def look(candidate, current):
        seen.append(current and current.number)
        return True

    store.promote("word/word@v2", "production", gates=[look])
    tombstone(store, 2, NOW)
    with pytest.raises(InvalidPromotion, match="nothing to compare with: word/word@v2 was erased"):
        store.promote("word/word@v3", "production", gates=[look])
    store.promote("word/word@v3", "production", gates=[look], force=True, reason="v2 is gone")
    assert seen == [4, None]


def test_aliases_of_an_embedding_that_is_not_there(store):
    with pytest.raises(UnknownEmbedding, match="did you mean word/word"):
        store.aliases("word/wrod")
    with pytest.raises(UnknownEmbedding):
        store.history("word/wrod", "production")


def test_verify_finds_an_alias_whose_version_is_missing(store, tmp_path):
    store.promote("word/word@v4", "production")
    assert store.verify().ok
    (tmp_path / "registry/word/word/log/00000004.json").unlink()
    (problem,) = open_registry(store.root).verify().problems
    assert problem == "word/word/aliases/production 1 names v4, of which no log entry is left"


def test_an_altered_move_is_found_and_named(store, tmp_path):
    store.promote("word/word@v1", "production")
    entry = tmp_path / "registry/word/word/aliases/production/00000001.json"
    entry.write_bytes(entry.read_bytes().replace(b'"version": 1', b'"version": 2'))
    again = open_registry(store.root)
    with pytest.raises(Corrupt, match=r"aliases/production/00000001\.json"):
        again["word/word@production"]
    (problem,) = again.verify().problems
    assert "aliases/production/00000001.json" in problem
