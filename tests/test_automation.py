"""What runs by itself: schedules by group, retraining upon drift, and late data."""

import datetime as dt
import json
import shutil
from collections import defaultdict
from dataclasses import replace
from datetime import datetime

import dagster as dg
import numpy as np
import pytest
from dagster_helpers import RUNS_DAGSTER, SMALL, Project, checks, failures, key, metadata, pipeline, week, weeks

from embedding_assets.assets.versions import warm_start
from embedding_assets.assets.watches import look
from embedding_assets.embeddings.word import SPEC
from embedding_assets.late_data import affected, changed_weeks
from embedding_assets.retraining import REASON, RETRAINED, retrain_on_drift
from embedding_assets.sources.files import FileSource
from embedding_assets.spec import SpecError, Watch
from embedding_assets.trainers.sgns import Sgns
from resources.lake import Lake

pytestmark = RUNS_DAGSTER

OVERLAP = Watch(asset="drift/token_overlap", number="word kept 4w", least=0.5)
STABLE = Watch(asset="word/scores", number="stability.v1/neighbors_kept", least=0.2)
WATCHING = replace(SPEC, watches=(OVERLAP, STABLE))
SIX_WEEKS = dg.WeeklyPartitionsDefinition(start_date=week(0), end_date=week(6), day_offset=1, timezone="UTC")


@pytest.fixture
def project(tmp_path):
    """Definitions with a spec that watches, over a home in which nothing was run."""
    project = Project.open(tmp_path, source=SMALL, specs=[WATCHING])
    with dg.instance_for_test() as instance:  # a schedule is handed a reference, which an ephemeral one has not
        yield replace(project, instance=instance)


def made(project, asset, *mondays):
    """Tell Dagster that `asset` was materialised."""
    for monday in mondays:
        project.instance.report_runless_asset_event(dg.AssetMaterialization(key(asset), partition=monday))


def overlap(project, monday, share):
    event = dg.AssetMaterialization(
        key(OVERLAP.asset), partition=monday, metadata={OVERLAP.number: share, "other": "text"}
    )
    project.instance.report_runless_asset_event(event)


# --- schedules


def requested(project, name, now):
    """What a schedule asks for at a moment."""
    context = dg.build_schedule_context(
        project.instance,
        scheduled_execution_time=datetime.fromisoformat(now),
        repository_def=project.definitions.get_repository_def(),
    )
    return project.definitions.resolve_schedule_def(name).evaluate_tick(context)


def test_a_groups_schedule_makes_its_week_and_what_it_reads(project):
    schedule = project.definitions.resolve_schedule_def("word_every_week")
    assert schedule.cron_schedule == "5 6 * * 1"
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    [request] = requested(project, "word_every_week", f"{week(3)}T06:05:00+00:00").run_requests
    assert request.partition_key == week(2)
    asked = {one.to_user_string() for one in request.asset_selection}
    assert asked >= {"raw/tweets", "text/tokens", "word/pairs", "word/embedding", "word/scores", "word/production"}
    assert not {one for one in asked if one.startswith("drift/") or one == "word/tuning"}


def test_what_is_there_already_is_not_made_twice(project):
    for asset in ("raw/tweets", "text/tokens", "word/corpus"):
        made(project, asset, week(2))
    [request] = requested(project, "word_every_week", f"{week(3)}T06:05:00+00:00").run_requests
    asked = {one.to_user_string() for one in request.asset_selection}
    assert not {"raw/tweets", "text/tokens"} & asked
    assert "word/corpus" in asked  # the group's own are made each time


def test_the_schedule_of_drift_trains_nothing(project):
    [request] = requested(project, "drift_every_week", f"{week(3)}T06:10:00+00:00").run_requests
    asked = {one.to_user_string() for one in request.asset_selection}
    assert {"drift/token_overlap", "drift/staleness", "word/pairs"} <= asked
    assert "word/embedding" not in asked


def test_before_the_sources_first_week_nothing_is_asked_for(project):
    answer = requested(project, "word_every_week", f"{week(0)}T06:05:00+00:00")
    assert (answer.run_requests, answer.skip_message) == ([], f"the source has no week {week(-1)}")


# --- drift


def test_a_watch_needs_a_bound_and_an_asset():
    with pytest.raises(SpecError, match="needs a bound, least or most"):
        Watch(asset="drift/token_overlap", number="word kept 4w")
    with pytest.raises(SpecError, match="must look like `group/name`, got 'drift'"):
        Watch(asset="drift", number="x", least=0)
    assert [Watch(asset="a/b", number="x", least=0.2, most=0.8).holds(value) for value in (0.1, 0.2, 0.8, 0.9)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_number_that_is_not_there_is_no_drift(project):
    assert look(project.instance, OVERLAP, week(2)).holds
    overlap(project, week(2), 0.4)
    seen = look(project.instance, OVERLAP, week(2))
    assert (seen.value, seen.holds) == (0.4, False)
    assert seen.why == f"word kept 4w is 0.4 in {week(2)}, at least 0.5 is asked"
    text = look(project.instance, replace(OVERLAP, number="other"), week(2))
    assert (text.value, text.holds) == (None, True)


def test_drift_is_a_warning_of_the_asset_that_shows_it(tmp_path):
    watch = Watch(asset="drift/token_overlap", number="word kept 1w", least=0.999)
    project = Project.open(tmp_path, source=SMALL, specs=[replace(SPEC, watches=(watch,))])
    for monday in weeks(0, 1):
        run = project.run(monday, "raw/tweets", "text/tokens", "text/top_tokens", "drift/token_overlap")
        assert failures(run) == {}
    warning = checks(run, "drift/token_overlap")["word_word_kept_1w"]
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert warning.description.endswith(f"in {week(1)}, at least 0.999 is asked")
    assert 0 < warning.metadata["value"].value < 0.999


def tick(project, **settings):
    """What the sensor asks for, and what it says; the newest week is week 5."""
    sensor = retrain_on_drift([WATCHING], SIX_WEEKS, **settings)
    repository = project.definitions.get_repository_def()
    with dg.build_sensor_context(instance=project.instance, repository_def=repository) as context:
        answer = sensor.evaluate_tick(context)
    return answer.run_requests or [], answer.skip_message


def tables_until(project, last):
    """The embedding's tables made for all weeks up to `last`."""
    for asset in ("raw/tweets", "text/tokens", "word/phrases", "word/corpus", "word/vocabulary", "word/pairs"):
        made(project, asset, *weeks(0, last))


def test_drift_since_the_newest_version_asks_for_a_warm_retraining(project):
    tables_until(project, 5)
    made(project, "word/embedding", week(2))
    overlap(project, week(2), 0.9)
    overlap(project, week(4), 0.4)
    [request], _ = tick(project)
    assert (request.partition_key, request.job_name) == (week(5), "word_weekly")
    assert request.tags[RETRAINED] == "word"
    assert request.tags[REASON] == f"drift: word kept 4w is 0.4 in {week(4)}, at least 0.5 is asked"
    assert request.run_config == {"ops": {"word__embedding": {"config": {"warm_start": True}}}}
    asked = {one.to_user_string() for one in request.asset_selection}
    assert {"word/embedding", "word/scores", "word/production"} <= asked
    assert not {"raw/tweets", "text/tokens"} & asked  # they are there


def test_one_cause_asks_once(project):
    tables_until(project, 5)
    made(project, "word/embedding", week(2))
    overlap(project, week(4), 0.4)
    [first], _ = tick(project)
    [again], _ = tick(project)
    assert first.run_key == again.run_key == f"word drifted in {week(4)}"  # Dagster starts one run a key
    overlap(project, week(5), 0.3)
    [other], _ = tick(project)
    assert other.run_key == f"word drifted in {week(5)}"


def test_after_a_retraining_the_sensor_cools_down(project):
    tables_until(project, 5)
    made(project, "word/embedding", week(2))
    overlap(project, week(4), 0.4)
    run = dg.DagsterRun(job_name="word_weekly", tags={RETRAINED: "word"}, status=dg.DagsterRunStatus.SUCCESS)
    project.instance.add_run(run)
    requests, said = tick(project)
    assert not requests
    assert said == (
        "word: was retrained by drift less than 1 day, 0:00:00 ago; "
        f"word kept 4w is 0.4 in {week(4)}, at least 0.5 is asked"
    )
    assert len(tick(project, cooldown=dt.timedelta(0))[0]) == 1


def test_no_drift_no_run(project):
    assert tick(project) == ([], "word: no drift since its newest version")
    made(project, "word/embedding", week(3))
    overlap(project, week(2), 0.1)  # before the newest version: that one has answered it
    overlap(project, week(4), 0.9)
    assert tick(project) == ([], "word: no drift since its newest version")


def test_a_version_of_the_newest_week_is_not_made_again(project):
    made(project, "word/embedding", week(5))
    overlap(project, week(5), 0.1)
    requests, said = tick(project)
    assert not requests
    assert said.startswith(f"word: its version of {week(5)} is of the newest week")


def test_weeks_missing_in_the_middle_are_named_with_what_to_do(project):
    tables_until(project, 2)
    made(project, "word/pairs", week(4))
    made(project, "word/embedding", week(2))
    overlap(project, week(4), 0.1)
    requests, said = tick(project)
    assert not requests
    assert f"word/pairs lacks {week(3)}; word/vocabulary lacks {week(3)}, {week(4)}" in said
    assert f"embeddings backfill word --from {week(5)} --to {week(5)}" in said


def test_a_run_under_way_is_waited_for(project):
    tables_until(project, 5)
    overlap(project, week(4), 0.1)
    under_way = dg.DagsterRun(
        job_name="word_weekly", asset_selection=frozenset({key("word/embedding")}), status=dg.DagsterRunStatus.STARTED
    )
    project.instance.add_run(under_way)
    assert tick(project) == ([], "word: is being made")


# --- warm starts


def test_a_warm_start_begins_at_the_newest_earlier_version(tmp_path_factory, tmp_path):
    home = pipeline(tmp_path_factory.getbasetemp() / "pipeline").project.home
    shutil.copytree(home, tmp_path / "home")
    project = Project.open(tmp_path / "home", source=SMALL, specs=[SPEC])
    lake = Lake(root=str(tmp_path / "home" / "lake"), registry_root=str(tmp_path / "home" / "registry"))
    assert warm_start(SPEC, lake, week(0)).said == f"cold: there is no version before {week(0)}"
    start = warm_start(SPEC, lake, week(5))
    assert start.said == "warm, from word/word@v5"
    assert len(start.tables) == 2
    other = replace(SPEC, trainer=Sgns(dim=8))
    assert warm_start(other, lake, week(5)) == (None, "cold: word/word@v5 has 64 dimensions, not 8")
    config = {"ops": {"word__embedding": {"config": {"warm_start": True}}}}
    run = project.definitions.resolve_job_def("word_weekly").execute_in_process(
        partition_key=week(5), instance=project.instance, asset_selection=[key("word/embedding")], run_config=config
    )
    version = project.store["word/word@latest"]
    assert version.number == 7
    assert version.manifest.training["start"] == "warm, from word/word@v5"
    assert metadata(run, "word/embedding")["start"] == "warm, from word/word@v5"
    cold = project.store["word/word@v6"]
    assert cold.manifest.training["start"] == "cold"
    assert version.keys().equals(cold.keys())
    assert not np.array_equal(version.numpy(), cold.numpy())


# --- late data

TABLES = ("raw/tweets", "text/tokens", "word/phrases", "word/corpus", "word/vocabulary", "word/pairs")


def write(folder, name, rows):
    lines = [json.dumps(row, default=datetime.isoformat) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def files(tmp_path):
    """A folder of tweets, one file a week, and a project with the tables of these weeks made."""
    folder = tmp_path / "files"
    folder.mkdir()
    for index in range(6):
        rows = SMALL.read("tweets", week(index)).rows.slice(0, 60).to_pylist()
        write(folder, f"{week(index)}.jsonl", rows)
    (folder / "source.toml").write_text(f'[weeks]\nfirst = "{week(0)}"\n[tweets]\npath = "*.jsonl"\n')
    project = Project.open(tmp_path / "home", {"EMBEDDINGS_SOURCE": str(folder / "source.toml")}, specs=[SPEC])
    for monday in weeks(0, 5):
        assert failures(project.run(monday, *TABLES)) == {}
    return folder, project


def late_tweet(folder, index):
    """A tweet of week `index` that arrives in a file of its own."""
    [row] = SMALL.read("tweets", week(index)).rows.slice(70, 1).to_pylist()
    write(folder, "late.jsonl", [row])


def late_tick(project, cursor=None):
    repository = project.definitions.get_repository_def()
    with dg.build_sensor_context(instance=project.instance, repository_def=repository, cursor=cursor) as context:
        answer = project.definitions.resolve_sensor_def("late_data").evaluate_tick(context)
    return answer.skip_message, answer.cursor


def test_late_rows_make_exactly_their_week_and_what_rests_on_it_again(files):
    folder, project = files
    said, cursor = late_tick(project)
    assert said == "no week that is in the lake changed"
    assert late_tick(project, cursor)[0] == "the files have not changed"
    late_tweet(folder, 1)
    said, _ = late_tick(project, cursor)
    [backfill] = project.instance.get_backfills()
    assert said == f"backfill {backfill.backfill_id} was asked for: raw/tweets of {week(1)}"
    assert backfill.tags[REASON] == f"late data: raw/tweets of {week(1)}"
    asked = defaultdict(list)
    for one in backfill.asset_backfill_data.target_subset.iterate_asset_partitions():
        asked[one.asset_key.to_user_string()].append(one.partition_key)
    asked = {asset: sorted(mondays) for asset, mondays in asked.items()}
    # phrases look back 4 weeks, and each corpus is made with its week's phrases
    windowed = weeks(1, 4)
    assert asked == {
        "raw/tweets": [week(1)],
        "text/tokens": [week(1)],
        **dict.fromkeys(("word/phrases", "word/corpus", "word/vocabulary", "word/pairs"), windowed),
    }


def test_the_same_late_rows_ask_once(files):
    folder, project = files
    _, cursor = late_tick(project)
    late_tweet(folder, 1)
    late_tick(project, cursor)
    said, _ = late_tick(project, cursor)  # as after a crash that lost the new cursor
    assert said.startswith("backfill ")
    assert "makes them already" in said
    assert len(project.instance.get_backfills()) == 1


def test_after_the_weeks_are_made_again_nothing_is_late(files):
    folder, project = files
    late_tweet(folder, 5)
    now = Project.open(project.home, {"EMBEDDINGS_SOURCE": str(folder / "source.toml")}, specs=[SPEC])
    source = FileSource.open(folder / "source.toml", cache=project.home / "staging")
    changed = changed_weeks(source, now.lake)
    assert changed == {"raw/tweets": [week(5)]}
    again = affected(now.definitions.resolve_asset_graph(), changed, now.lake)
    assert again == {asset: [week(5)] for asset in sorted(TABLES)}
    assert failures(now.run(week(5), *again)) == {}
    assert changed_weeks(source, now.lake) == {}
