"""Scores of a version, right after it: run every task that applies, publish beside the version, plot."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from threadpoolctl import threadpool_limits

from benchmarks.plots import score_history_png
from benchmarks.runner import run_task
from benchmarks.task import Evaluation, Task
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.labels import HELD_OUT_FOLLOWS
from embedding_assets.partitions import asset_in, asset_key, weeks_between, window_in
from embedding_assets.records import Week
from embedding_assets.spec import EmbeddingSpec, Input
from embedding_assets.tables.hold_out import is_held_out
from embedding_assets.tables.vocabulary import stable_ids
from registry import Score, Store, Version
from registry.judging.compare import Leaderboard
from resources.benchmark_files import BenchmarkFiles
from resources.engine import Engine
from resources.lake import Lake

ABOVE_FLOOR = "above_floor"

SCORES = pa.schema(
    [
        pa.field("version", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("floor", pa.float64()),
        pa.field("rows_used", pa.int64(), nullable=False),
        pa.field("rows_left_out", pa.int64(), nullable=False),
        pa.field("undefined", pa.string()),
    ]
)


def scores_asset(
    spec: EmbeddingSpec,
    tasks: Sequence[Task],
    labels: Mapping[str, Input],
    partitions: dg.WeeklyPartitionsDefinition,
) -> dg.AssetsDefinition:
    """The asset `<name>/scores`.

    Args:
        spec: the embedding.
        tasks: those that judge it.
        labels: label, such as `truth_words`, -> what it is read from.
        partitions: of every asset.
    """
    key = f"{spec.name}/scores"
    embedding = f"{spec.name}/embedding"
    history = max((task.needs_history for task in tasks), default=0)

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=f"One row a task and metric on the week's version: {', '.join(t.id for t in tasks)}.",
        code_version="-".join(sorted(task.id for task in tasks)),
        kinds=["numpy"],
        owner=spec.owner,
        ins={
            "versions": window_in(embedding, first=-history, load_as="versions"),
            **{name: asset_in(read) for name, read in labels.items()},
        },
        check_specs=[
            dg.AssetCheckSpec(
                ABOVE_FLOOR,
                asset=asset_key(key),
                description="every score with an interval lies above what shuffled vectors reach",
            )
        ],
    )
    def scores(
        context: dg.AssetExecutionContext,
        lake: Lake,
        engine: Engine,
        benchmark_files: BenchmarkFiles,
        versions: dict[str, list],
        **tables: Any,
    ) -> dg.MaterializeResult:
        week, store = context.partition_key, lake.store
        with engine.connect() as connection:
            read = label_tables(connection, tables, hold_out=spec.window.hold_out)
        files = benchmark_files.paths()
        evaluations = [evaluation_of(one, versions, week, labels=read, files=files) for one in versions.get(week, [])]
        scored = judged_by(tasks, evaluations)
        for version, score in scored:
            store.add_score(version, score, created_by=f"{context.run.run_id}/{key}")
        return dg.MaterializeResult(
            value=score_table(scored),
            metadata=_metadata(store, scored, tasks),
            check_results=[_above_floor(scored)],
        )

    return scores


def judged_by(tasks: Sequence[Task], evaluations: Sequence[Evaluation]) -> list[tuple[Version, Score]]:
    """Every score of every task that knows the version's entity, with the version that it is of, in their order.

    Tasks run on threads, since most of their time is numpy's; each is a function of its evaluation alone. BLAS has one
    thread meanwhile: it is told so once, here, because to tell it is not safe among threads.
    """
    asked = [(task, one) for one in evaluations for task in tasks if task.entity in (None, one.version.entity)]
    with threadpool_limits(1), ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        found = list(threads.map(run_task, *zip(*asked, strict=True))) if asked else []
    return [
        (one.history.get(task.judges, one.version), score)
        for (task, one), scores in zip(asked, found, strict=True)
        for score in scores
    ]


def score_table(scored: Sequence[tuple[Version, Score]]) -> pa.Table:
    """Scores in the schema `SCORES`."""
    names = SCORES.names[1:]
    rows = [
        {"version": version.reference} | {name: getattr(score, name) for name in names} for version, score in scored
    ]
    return pa.Table.from_pylist(rows, SCORES)


def evaluation_of(
    version: Version,
    versions: Mapping[Week, Sequence[Version]],
    week: Week,
    *,
    labels: Mapping[str, pa.Table],
    files: Mapping[str, Path],
) -> Evaluation:
    """What the tasks may look at: the version, those trained with it, and those of earlier weeks.

    Args:
        version: to judge.
        versions: week -> what the embedding published in it.
        week: the version's.
        labels: label tables.
        files: that the user gave.
    """
    by_age = {
        weeks_between(then, week): {f"{one.entity}/{one.name}": one for one in found}
        for then, found in versions.items()
        if then <= week
    }
    name = f"{version.entity}/{version.name}"
    earlier = {age: found for age, found in by_age.items() if age}
    return Evaluation(
        version=version,
        history={age: found[name] for age, found in earlier.items() if name in found},
        together=by_age[0],
        earlier=earlier,
        labels=labels,
        files=files,
        week=week,
    )


def label_tables(
    connection: duckdb.DuckDBPyConnection, loaded: Mapping[str, Any], *, hold_out: float = 0.0
) -> dict[str, pa.Table]:
    """Labels as tables: several weeks become one with a column `week`; held-out follows are one label more.

    Args:
        connection: an in-memory DuckDB.
        loaded: label -> table, or week -> dataset.
        hold_out: the share of pairs that the embedding was not trained on.
    """
    tables = {name: found if isinstance(found, pa.Table) else _in_one(found) for name, found in loaded.items()}
    if hold_out and "follows" in tables:
        follows = tables["follows"]
        ends = [_ids(connection, follows[side]) for side in ("src", "dst")]
        tables[HELD_OUT_FOLLOWS] = follows.filter(pa.array(is_held_out(*ends, share=hold_out)))
    return tables


def _in_one(weeks: Mapping[Week, ds.Dataset]) -> pa.Table:
    tables = {week: dataset.to_table() for week, dataset in sorted(weeks.items())}
    return pa.concat_tables(
        table.append_column("week", pa.repeat(pa.scalar(week), table.num_rows)) for week, table in tables.items()
    )


def _ids(connection: duckdb.DuckDBPyConnection, keys: pa.ChunkedArray) -> np.ndarray:
    known = stable_ids(connection, keys)
    places = pc.call_function("index_in", [keys], pc.SetLookupOptions(value_set=known["key"].combine_chunks()))
    return known["id"].to_numpy()[np.asarray(places)]


def _metadata(store: Store, scored: Sequence[tuple[Version, Score]], tasks: Sequence[Task]) -> dict[str, Any]:
    """One number per task and metric, which the UI plots over weeks, and a picture of what is most telling."""
    names = _short(dict.fromkeys(f"{version.entity}/{version.name}" for version, _ in scored))
    # What one training publishes is judged by the same tasks: where there is more than one, the label says which.
    labels = [names[f"{version.entity}/{version.name}"] for version, _ in scored]
    by_label = {f"{label}{score.task}/{score.metric}": score for label, (_, score) in zip(labels, scored, strict=True)}
    numbers = {label: score.value for label, score in by_label.items() if score.value is not None}
    by_version = {version.reference: [score for of, score in scored if of is version] for version, _ in scored}
    shown = {(task.id, task.metrics[0]) for task in tasks}
    history = {
        f"history {name}": picture(score_history_png(scores_by_week(store, name, shown)), f"{name} by week")
        for name in [*names][:1]  # of the first; each of the others is a number that the UI plots
    }
    return {**numbers, "table": dg.MetadataValue.md(Leaderboard.of(by_version).to_markdown()), **history}


def _short(names: Iterable[str]) -> dict[str, str]:
    """Name -> what its numbers begin with: nothing where it is alone, its entity where that is enough."""
    found = list(names)
    entities = [name.partition("/")[0] for name in found]
    if len(found) < 2:
        return dict.fromkeys(found, "")
    pairs = zip(found, entities, strict=True)
    return {name: f"{name if entities.count(entity) > 1 else entity} " for name, entity in pairs}


def scores_by_week(store: Store, name: str, shown: Collection[tuple[str, str]]) -> dict[Week, list[Score]]:
    """Week -> those scores of its newest version whose task and metric are `shown`, for the embedding `entity/name`."""
    weeks = sorted({version.week for version in store.versions(name) if version.week})
    kept = [week for week in weeks if f"{name}@{week}" in store]  # versions may have been retired
    scores = {week: store[f"{name}@{week}"].scores() for week in kept}
    return {week: [score for score in found if (score.task, score.metric) in shown] for week, found in scores.items()}


def _above_floor(scored: Sequence[tuple[Version, Score]]) -> dg.AssetCheckResult:
    below = [
        f"{version.reference} {score.task} {score.metric}: {score.value:.3f} (floor {score.floor:.3f})"
        for version, score in scored
        if score.value is not None and score.low is not None and score.floor is not None
        if score.low <= score.floor
    ]
    return dg.AssetCheckResult(
        passed=not below,
        check_name=ABOVE_FLOOR,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(below) or f"{len(scored)} scores",
    )
