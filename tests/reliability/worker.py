"""R5 and R19: the process that runs a step is killed while it publishes; the retry must do no damage.

A real webserver and daemon materialise one week of the synthetic source. In the middle of publishing its version the
run's worker gets SIGKILL. Dagster notices, retries the run, and the registry must then hold
exactly one whole version of that week, which verifies, with its scores.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
from dagster_server import dagster_server

from embedding_assets.backfill import ask
from registry import open_registry

WEEK = "2026-01-05"
SMALL = {"EMBEDDINGS_USERS": "300", "EMBEDDINGS_TWEETS_PER_WEEK": "800"}
PATIENCE_SECONDS = 300
Moment = Literal["files", "logged"]


@dataclass(frozen=True)
class Outcome:
    """What was seen: `kills` that hit a publish, and everything that is wrong afterwards."""

    kills: int
    problems: tuple[str, ...]
    seconds: float


def kill_a_publish(home: Path, moment: Moment = "files") -> Outcome:
    """Kill one publish under a real daemon, let Dagster retry, and look at what is left.

    Args:
        home: an empty folder.
        moment: `files`: files of a version lie there, and no log names them. `logged`: the version exists, and
            the lake does not point at it yet.
    """
    began = time.monotonic()
    with dagster_server(home, SMALL) as url, instance_of(home) as instance:
        launch_week(url)
        kills = kill_once(home, moment, instance)
        wait_for_scores(home)
    return Outcome(kills, tuple(problems(home)), time.monotonic() - began)


LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on Error { message }
  }
}
"""


def launch_week(url: str) -> None:
    """Start the job `weekly` for one week, as the UI does."""
    selector = {
        "repositoryLocationName": "embedding_assets",
        "repositoryName": "__repository__",
        "jobName": "weekly",
    }
    metadata = {"tags": [{"key": "dagster/partition", "value": WEEK}]}
    answer = ask(url, LAUNCH, {"params": {"selector": selector, "executionMetadata": metadata}})["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise RuntimeError(f"the run was not launched: {answer}")


@contextmanager
def instance_of(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        yield instance


def kill_once(home: Path, moment: Moment, instance: dg.DagsterInstance) -> int:
    """Wait for the moment, and kill the run's worker; 1 where it was hit, 0 where it passed unseen."""
    embedding, pointer = home / "registry/word/word", home / "lake/word/embedding"
    deadline = time.monotonic() + PATIENCE_SECONDS
    pids: list[int] = []
    while time.monotonic() < deadline and not pointer.exists():
        pids = pids or workers(instance)  # found before the moment, which is short
        logged = any(embedding.glob("log/*.json"))
        if logged if moment == "logged" else any(embedding.glob("versions/*")):
            for worker in pids:
                os.kill(worker, signal.SIGKILL)
            return int(not pointer.exists() and logged == any(embedding.glob("log/*.json")))
        time.sleep(0.001)
    return 0


def workers(instance: dg.DagsterInstance) -> list[int]:
    """Process ids of the runs that are under way."""
    found = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        for entry in instance.all_logs(record.dagster_run.run_id):
            data = entry.dagster_event.engine_event_data.metadata if is_engine_event(entry) else {}
            if "pid" in data:
                found.append(int(str(data["pid"].value)))
    return sorted(set(found))


def is_engine_event(entry: dg.EventLogEntry) -> bool:
    return bool(entry.dagster_event and entry.dagster_event.event_type == dg.DagsterEventType.ENGINE_EVENT)


def wait_for_scores(home: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        store = open_registry(home / "registry")
        if "word/word" in store and store["word/word@latest"].scores():
            return
        time.sleep(2)


def problems(home: Path) -> Iterator[str]:
    """Everything that is not as it must be: one version, whole, with scores."""
    store = open_registry(home / "registry")
    if "word/word" not in store:
        yield "there is no version: the run was not retried"
        return
    if len(store.versions("word/word")) != 1:
        yield f"{len(store.versions('word/word'))} versions instead of 1"
    yield from store.verify().problems
    if not store["word/word@latest"].scores():
        yield "the version has no scores"
