"""The demo's own logic, mostly over a home that is made already: what is current, and what it shows."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, again, pipeline, read_in_readme, week, weeks
from rich.console import Console

from embedding_assets.demo import show
from embedding_assets.demo_weeks import TAG, RunFailedError, end_killed_runs, is_current, materialize, phases_of
from embedding_assets.embeddings import all_specs
from embedding_assets.partitions import asset_key
from embedding_assets.weekly import EVERY_WEEK

pytestmark = RUNS_DAGSTER

LAST = 5


@dg.job
def a_job():
    """Of which there is a run."""


@pytest.fixture
def project(tmp_path_factory) -> Project:
    return pipeline(tmp_path_factory.getbasetemp() / "pipeline").project


def test_weeks_that_are_made_are_current_and_others_not(project):
    made = [monday for monday in weeks(0, LAST + 1) if is_current(project.definitions, project.lake, monday)]
    assert made == weeks(0, LAST)


def test_a_week_made_by_other_settings_is_not_current(project, tmp_path):
    [word] = [spec for spec in all_specs() if spec.name == "word"]
    other = replace(word, trainer=replace(word.trainer, dim=word.trainer.dim + 1))
    changed = Project.open(tmp_path, source=SMALL, specs=[other])
    assert not is_current(changed.definitions, project.lake, week(LAST))


def test_what_is_missing_in_one_asset_is_missing(project, tmp_path):
    shutil.copytree(project.home, tmp_path / "home")
    copied = again(tmp_path / "home")
    shutil.rmtree(copied.lake.path("word/scores", week(LAST)).parent)
    current = [monday for monday in weeks(0, LAST) if is_current(copied.definitions, copied.lake, monday)]
    assert current == weeks(0, LAST - 1)


def test_the_closing_show_names_scores_words_versions_and_what_next(project):
    console = Console(record=True, width=160, highlight=False)
    show(console, project.store, SMALL, weeks(0, LAST))
    said = console.export_text()
    scores, neighbors, listing, after = re.split(r"─+ [A-Za-z0-9:, ]+ ─+", said)[1:]
    assert re.search(r"Word Topic Purity.* \.\d{3}", scores)
    assert re.search(rf"word +{week(0)} +{week(LAST)}", neighbors)
    assert "(moved)" in neighbors
    assert re.search(rf"word/word +{LAST + 1} +v{LAST + 1} +{week(LAST)} ", listing)
    assert "make dev" in after
    assert f'open_registry("{project.store.root}")' in after.replace("\n", "")


def test_each_phase_reads_only_what_it_or_an_earlier_one_makes(project):
    graph, done = project.definitions.resolve_asset_graph(), set()
    phases = phases_of(project.definitions, read_in_readme())
    assert [len(phase) for phase in phases] == [1, 2, 1, 2]
    assert {"raw/tweets", "text/tokens"} <= phases[0][0]
    assert "scores/leaderboard" in phases[3][0] | phases[3][1]
    for phase in phases:
        for part in phase:
            read = {parent.to_user_string() for key in part for parent in graph.get(asset_key(key)).parent_keys}
            assert read <= done | part
        assert sum(map(len, phase)) == len(frozenset().union(*phase)), "two processes would make the same"
        done = done.union(*phase)
    assert done == {key.to_user_string() for key in EVERY_WEEK.resolve(graph)}


def test_one_embedding_has_its_tables_to_itself(tmp_path):
    [word] = [spec for spec in all_specs() if spec.name == "word"]
    definitions = Project.open(tmp_path, source=SMALL, specs=[word]).definitions
    [alone] = phases_of(definitions, [word])[0]
    assert {"raw/tweets", "word/embedding"} <= alone


def test_a_week_that_fails_in_its_process_is_told_by_its_cause(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    environ = {"EMBEDDINGS_HOME": str(tmp_path), "EMBEDDINGS_USERS": str(SMALL.users)}
    with pytest.raises(RunFailedError) as caught:
        materialize(environ, [week(1)], ["word"])
    assert str(caught.value).startswith(f"the run of {week(1)} failed: word__phrases: ")
    assert f"text/tokens has no partition {week(0)}; it has {week(1)}" in str(caught.value)


def test_the_place_that_a_killed_demo_held_is_free_again(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(Path(__file__).parents[1] / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(a_job, status=dg.DagsterRunStatus.STARTED, tags=TAG)
        events = instance.event_log_storage
        events.initialize_concurrency_limit_to_default("gpu")
        assert events.claim_concurrency_slot("gpu", run.run_id, "word__embedding").is_claimed
        end_killed_runs(instance)
        assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.CANCELED
        assert events.get_concurrency_info("gpu").active_slot_count == 0
