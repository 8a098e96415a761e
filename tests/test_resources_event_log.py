"""Dagster's event log with its connections kept open: the same files, read by Dagster's own class."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster_helpers import RUNS_DAGSTER

from resources.event_log import OPEN_AT_ONCE, EventLog

pytestmark = RUNS_DAGSTER


@dg.asset
def number() -> int:
    return 1


@pytest.fixture
def instance(tmp_path, monkeypatch):
    """An instance over a folder, with the event log that our `dagster.yaml` names."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    ours = yaml.safe_load((Path(__file__).parents[1] / "dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"event_log_storage": ours["event_log_storage"]}))
    with dg.DagsterInstance.get() as found:
        yield found


def events_of(storage, run_id):
    entries = [record.event_log_entry for record in storage.get_records_for_run(run_id).records]
    return [entry.dagster_event.event_type for entry in entries if entry.dagster_event]


def test_dagster_reads_what_it_wrote_and_more_runs_than_it_keeps_open(instance, tmp_path):
    assert isinstance(instance.event_log_storage, EventLog)
    runs = [dg.materialize([number], instance=instance).run_id for _ in range(OPEN_AT_ONCE + 2)]
    dagsters = SqliteEventLogStorage(str(tmp_path / "history" / "runs"))
    for run_id in (runs[0], runs[-1]):
        assert dg.DagsterEventType.RUN_SUCCESS in events_of(dagsters, run_id)
        assert events_of(dagsters, run_id) == events_of(instance.event_log_storage, run_id)
    made = instance.fetch_materializations(dg.AssetKey("number"), limit=100).records
    assert [record.run_id for record in made] == runs[::-1]
    assert len(instance.event_log_storage._engines) <= OPEN_AT_ONCE


def test_threads_take_turns(instance):
    def run(_):
        return dg.materialize([number], instance=instance).success

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(run, range(8)))
    assert len(instance.fetch_materializations(dg.AssetKey("number"), limit=100).records) == 8


def test_closing_it_twice_and_using_it_again_is_fine(instance):
    storage = instance.event_log_storage
    run_id = dg.materialize([number], instance=instance).run_id
    storage.dispose()
    storage.dispose()
    assert dg.DagsterEventType.RUN_SUCCESS in events_of(storage, run_id)
