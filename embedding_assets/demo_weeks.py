"""Weeks of every asset, made by two processes side by side: what several embeddings read, then half of these each.

In: the settings and the weeks; out: a lake and a registry. A week of one run keeps little more than one core busy.
Trainings take turns all the same: the pool `gpu` has one place.
"""

import logging
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import dagster as dg
from tqdm import tqdm

from embedding_assets.definitions import build_definitions
from embedding_assets.embeddings import all_specs
from embedding_assets.partitions import asset_key
from embedding_assets.records import Week
from embedding_assets.settings import Settings
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.weekly import EVERY_WEEK, UNDER_WAY
from resources.lake_files import LakeFiles

PROCESSES = 2
BAR_SECONDS = 0.1 if sys.stderr.isatty() else 10.0
#: How often the bar looks for what the processes have to say.
LOOK_SECONDS = 0.2
#: On every run made here.
TAG = {"embeddings/demo": "yes"}


class RunFailedError(RuntimeError):
    """A week could not be made; says which steps failed, and why."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one process makes, week after week.

    Attributes:
        environ: settings.
        names: of the embeddings that are defined.
        assets: keys of those to make.
        weeks: oldest first.
    """

    environ: Mapping[str, str]
    names: tuple[str, ...]
    assets: frozenset[str]
    weeks: tuple[Week, ...] = ()


def materialize(environ: Mapping[str, str], weeks: Sequence[Week], names: Sequence[str]) -> int:
    """Make what the weekly job makes of each week that is missing or was made by other code; returns how many weeks.

    Args:
        environ: settings.
        weeks: to make.
        names: of embeddings among `all_specs()`; only these are defined.

    Raises:
        RunFailedError: a run failed; what was made stays.
    """
    specs = specs_of(names)
    definitions = build_definitions(environ, specs=specs)
    lake = LakeFiles(Settings.read(environ).home / "lake")
    phases = [
        [Part(environ=environ, names=tuple(names), assets=assets) for assets in phase]
        for phase in phases_of(definitions, specs)
    ]
    behind: set[Week] = set()
    for at, phase in enumerate(phases):  # a week whose tables are made anew is made anew from there
        due = [{week for week in weeks if not is_current(definitions, lake, week, part.assets)} for part in phase]
        phases[at] = [replace(part, weeks=tuple(sorted(own | behind))) for part, own in zip(phase, due, strict=True)]
        behind.update(*due)
    if behind:
        _run(phases)
    return len(behind)


def specs_of(names: Sequence[str]) -> list[EmbeddingSpec]:
    """Those of `all_specs()` with these names."""
    return [spec for spec in all_specs() if spec.name in names]


def phases_of(definitions: dg.Definitions, specs: Sequence[EmbeddingSpec]) -> list[list[frozenset[str]]]:
    """Keys of all weekly assets in phases, of which each needs only those before; the sets of a phase are apart.

    First what two embeddings need, then half of the embeddings each, with what one alone needs; then likewise the
    groups that look at them.
    """
    graph = definitions.resolve_asset_graph()
    weekly = EVERY_WEEK.resolve(graph)
    embeddings = [spec.name for spec in specs]
    others = sorted({graph.get(key).group_name or "" for key in weekly}.difference(embeddings))
    phases: list[list[frozenset[str]]] = []
    done: frozenset[str] = frozenset()
    for groups in (embeddings, others):
        selections = [(dg.AssetSelection.groups(group) & EVERY_WEEK).upstream() & EVERY_WEEK for group in groups]
        needs = [{key.to_user_string() for key in one.resolve(graph)} - done for one in selections]
        needed = Counter(chain.from_iterable(needs))
        shared = frozenset(key for key, times in needed.items() if times > 1)
        phases += [[shared], [frozenset().union(*needs[at::PROCESSES]) - shared for at in range(PROCESSES)]]
        done = done.union(needed)
    return [parts for phase in phases if (parts := [part for part in phase if part])]


def is_current(definitions: dg.Definitions, lake: LakeFiles, week: Week, assets: frozenset[str] | None = None) -> bool:
    """Whether each of `assets`, by default all weekly ones, has `week`, made by the code and settings of today."""
    keys = {key.to_user_string() for key in EVERY_WEEK.resolve(definitions.resolve_asset_graph())}
    versions = {spec.key.to_user_string(): spec.code_version for spec in definitions.resolve_all_asset_specs()}
    return all(
        lake.exists(key, week) and lake.lineage(key, week).code_version == versions[key]
        for key in (keys if assets is None else assets)
        if versions[key]
    )


def failures(result: dg.ExecuteInProcessResult) -> str:
    """The failed steps and the first line of why."""
    lines = []
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause:
                error = error.cause
            lines.append(f"{event.step_key}: {error.message.strip() if error else 'unknown'}")
    return "\n  ".join(lines)


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """End the runs of a demo that was killed, and free their places in pools: without a daemon nobody else does."""
    for run in instance.get_runs(dg.RunsFilter(tags=TAG, statuses=UNDER_WAY)):
        instance.report_run_canceled(run)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _run(phases: Sequence[Sequence[Part]]) -> None:
    """Each phase after the one before, its parts side by side; a bar shows how many assets are made.

    Raises:
        RunFailedError: a run failed; the other process ends its week first.
    """
    with dg.DagsterInstance.get() as instance:  # also creates its databases, which two processes at once could not
        end_killed_runs(instance)
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs threads may hang
    talk, stop = context.Queue(), context.Event()
    total = sum(len(part.assets) * len(part.weeks) for phase in phases for part in phase)
    with (
        tqdm(total=total, unit="asset", mininterval=BAR_SECONDS) as bar,
        ProcessPoolExecutor(PROCESSES, context, _join, (talk, stop)) as processes,
    ):
        try:
            for phase in phases:
                _show({processes.submit(_make, part) for part in phase}, talk, bar)
        except BaseException:
            stop.set()
            raise
        bar.update(total - bar.n)


def _show(running: set[Future[None]], talk: Any, bar: tqdm) -> None:
    """Move the bar until all have ended; raises what one raises."""
    while running:
        ended, running = wait(running, timeout=LOOK_SECONDS)
        while not talk.empty():
            made, doing = talk.get()
            bar.set_postfix_str(doing, refresh=False)
            bar.update(made)
        for one in ended:
            one.result()


#: In a process that makes parts: where to tell what it does, and the event that ends it.
_PARENT: list[Any] = []


def _join(talk: Any, stop: Any) -> None:
    """Begin a process that makes parts."""
    _PARENT[:] = talk, stop
    talk.cancel_join_thread()  # once the other process has failed nobody reads on, and this one must end all the same
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two processes share an accelerator's memory


def _make(part: Part) -> None:
    definitions = build_definitions(part.environ, specs=specs_of(part.names))
    definitions = dg.Definitions.merge(definitions, dg.Definitions(loggers={"progress": progress}))
    job = definitions.resolve_job_def("weekly")
    with dg.DagsterInstance.get() as instance:
        for week in part.weeks:
            if _PARENT[1].is_set():
                return
            result = job.execute_in_process(
                partition_key=week,
                instance=instance,
                raise_on_error=False,
                asset_selection=[asset_key(asset) for asset in sorted(part.assets)],
                run_config={"loggers": {"progress": {}}},
                tags=TAG,
            )
            if not result.success:
                raise RunFailedError(f"the run of {week} failed: {failures(result)}")


class _Progress(logging.Handler):
    """Tells the process with the bar of each asset that is made, of steps that begin, and of a trainer's epochs."""

    def emit(self, record: logging.LogRecord) -> None:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event and event.event_type_value == "STEP_START":
            _PARENT[0].put((0, event.step_key))
        elif event and event.event_type_value == "ASSET_MATERIALIZATION":
            _PARENT[0].put((1, event.step_key))
        elif event is None and str(meta.get("orig_message")).startswith("epoch"):
            _PARENT[0].put((0, f"{meta['step_key']}: {meta['orig_message']}"))


@dg.logger
def progress(_context: dg.InitLoggerContext) -> logging.Logger:
    """A Dagster logger that tells of progress instead of printing every event."""
    logger = logging.getLogger("embedding_assets.demo.progress")
    logger.setLevel(logging.DEBUG)  # the level of step events
    logger.propagate = False
    logger.handlers = [_Progress()]
    return logger
