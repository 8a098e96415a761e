"""Promotion of what one training published: together, never backwards, and held back in words."""

import shutil
from dataclasses import replace

import dagster as dg
import pytest
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, checks, metadata, pipeline, week
from registry_samples import make_keys
from reliability.drills_serving import NEVER, PRODUCER, USER, attempt, promote, publish, served

from embedding_assets.embeddings.word import SPEC
from embedding_assets.promotion import judge_together, promote_together, served_now
from embedding_assets.spec import GATES
from registry import open_registry
from registry.errors import Conflict, InvalidPromotion
from registry.gates import MaxShrink, NotOlder

pytestmark = RUNS_DAGSTER


@pytest.fixture
def store(tmp_path):
    return open_registry(tmp_path / "registry")


def test_the_first_versions_are_promoted_and_better_ones_follow(store):
    assert served(store) == [None, None]
    promote(store, publish(store, week(0), score=0.5))
    moves = promote(store, publish(store, week(1), score=0.6))
    assert served(store) == [f"{USER}@v2", f"{PRODUCER}@v2"]
    assert [move.previous for move in moves] == [1, 1]
    assert [result.name for result in moves[0].gates] == [str(NotOlder()), *map(str, GATES)]


def test_entities_of_one_training_are_promoted_together_or_not_at_all(store):
    promote(store, publish(store, week(0)))
    verdicts = judge_together(store, publish(store, week(1), producers=10), GATES)
    assert [[result.name for result in verdict.refused] for verdict in verdicts] == [
        [],
        [str(MaxShrink(0.3))],
    ]
    assert promote_together(store, verdicts, "a test") == []
    assert served(store) == [f"{USER}@v1", f"{PRODUCER}@v1"]


def test_an_older_week_never_replaces_a_newer_one_whatever_the_spec_says(store):
    old, new = publish(store, week(0)), publish(store, week(1))
    promote(store, new)
    verdicts = judge_together(store, old, ())
    assert all(verdict.is_older for verdict in verdicts)
    assert promote_together(store, verdicts, "a test") == []
    assert promote(store, publish(store, week(1)), ())  # the same week, made again


def test_somebody_else_moves_an_alias_meanwhile(store):
    first, second, third = (publish(store, week(index)) for index in range(3))
    promote(store, first)
    verdicts = judge_together(store, second, GATES)
    store.promote(third[1], "production")
    with pytest.raises(Conflict, match=f"{PRODUCER}@production was expected at v1, but it is at v3"):
        promote_together(store, verdicts, "a test")
    assert served(store) == [f"{USER}@v1", f"{PRODUCER}@v3"]  # the user's move was undone
    assert [move.action for move in store.history(USER, "production")] == ["promote", "promote", "rollback"]


def test_a_promotion_that_died_between_two_moves_is_finished_by_the_next_try(store):
    promote(store, publish(store, week(0)))
    versions = publish(store, week(1))
    store.promote(versions[0], "production")  # and here the process died
    assert promote(store, versions)
    assert served(store) == [f"{USER}@v2", f"{PRODUCER}@v2"]
    assert len(store.history(USER, "production")) == 2


def test_a_served_version_that_is_gone_asks_for_a_person(store):
    promote(store, publish(store, week(0)))
    for name in (USER, PRODUCER):
        store.erase(name.split("/")[0], make_keys(20).to_pylist(), reason="asked to")
    verdicts = judge_together(store, publish(store, week(1)), GATES)
    assert all("promote with --force and a reason" in verdict.refused[0].why for verdict in verdicts)


@pytest.mark.parametrize("case", NEVER)
def test_what_is_broken_is_a_typed_error_and_never_served(tmp_path, case):
    """Drill R17, case by case."""
    assert attempt(case, tmp_path / "registry") == []


def test_a_forced_promotion_needs_a_reason_and_is_recorded(store):
    promote(store, publish(store, week(0)))
    worse = publish(store, week(1), users=5)
    with pytest.raises(InvalidPromotion, match="needs a reason"):
        store.promote(worse[0], "production", gates=GATES, force=True)
    move = store.promote(worse[0], "production", gates=GATES, force=True, reason="half of the users left")
    assert (move.forced, move.reason) == (True, "half of the users left")
    assert [result.name for result in move.gates if not result.passed] == [
        str(MaxShrink(0.3)),
        str(GATES[3]),
    ]


@pytest.fixture
def made(tmp_path_factory):
    return pipeline(tmp_path_factory.getbasetemp() / "pipeline")


def test_the_weekly_job_promotes_and_says_what_is_served(made):
    last = week(5)
    found = metadata(made.runs[last], "word/production")
    assert (found["promoted"], found["gates_refused"]) == (1, 0)
    assert found["served"] == {"word/word": "word/word@v6"}
    assert made.project.store["word/word@production"].week == last
    move = made.project.store.history("word/word", "production")[-1]
    assert [result.passed for result in move.gates] == [True] * (1 + len(GATES))
    assert move.reason.startswith(f"word/production {last}, run ")


def held_back(made, home, gates):
    """The week after the made ones published by copy: its gates asked again under other gates."""
    shutil.copytree(made.project.home, home)
    project = Project.open(home, source=SMALL, specs=[replace(SPEC, gates=gates)])
    return project, project.run(week(5), "word/production")


def test_a_gate_that_refuses_is_a_warning_that_names_it(made, tmp_path, caplog):
    def too_new(candidate, current):
        return current is None

    project, run = held_back(made, tmp_path / "home", (too_new,))
    # v6 is served already; asked again it is compared with itself
    assert run.success
    [warning] = checks(run, "word/production").values()
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warning.description == "held back: word/word@v6 by too_new: it does not hold"
    found = metadata(run, "word/production")
    assert (found["promoted"], found["gates_refused"]) == (0, 1)
    assert "| **refused** | too_new | word/word@v6 | word/word@v6 | it does not hold |" in found["gates"]
    assert "held_back word" in caplog.text
    assert len(project.store.history("word/word", "production")) == 6


def test_an_older_week_made_again_is_no_warning(made, tmp_path):
    shutil.copytree(made.project.home, tmp_path / "home")
    project = Project.open(tmp_path / "home", source=SMALL, specs=[SPEC])
    run = project.run(week(3), "word/production")
    [check] = checks(run, "word/production").values()
    assert check.passed
    assert "newer weeks are served" in check.description
    assert f"is of {week(3)}, word/word@v6 of {week(5)}" in check.description
    assert served_now(project.store, "word/word") == "word/word@v6"


def test_a_week_without_a_version_serves_on_what_was_served(made, tmp_path):
    shutil.copytree(made.project.home, tmp_path / "home")
    project = Project.open(tmp_path / "home", source=SMALL, specs=[SPEC])
    lineage = project.lake.lineage("word/embedding", week(5))
    project.lake.write("word/embedding", project.lake.read("word/embedding", week(5)).slice(0, 0), lineage)
    run = project.run(week(5), "word/production")
    [check] = checks(run, "word/production").values()
    assert not check.passed
    assert check.description == f"no version was published in {week(5)}: what was served is served on"
    assert metadata(run, "word/production")["served"] == {"word/word": "word/word@v6"}
