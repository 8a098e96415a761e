"""Late data: raw weeks that the source has changed since they were read, and everything that rests on them.

A row of an old week may arrive weeks later, in a file that grew or in a new one. What was made of that week is
then wrong, and so is every window that held it; the rest is right and stays.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.execution.backfill import PartitionBackfill

from embedding_assets.partitions import asset_key
from embedding_assets.records import Week
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import Source
from resources.lake_files import LakeFiles, content_hash

Weeks = Mapping[str, Iterable[Week]]


def late_data(source: FileSource, lake: LakeFiles) -> dg.SensorDefinition:
    """The sensor `late_data`: looks at the files' sizes and times, and at their rows only where those have changed."""

    @dg.sensor(
        name="late_data",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=600,
        description="Makes again what rests on weeks that the source's files have changed since they were read.",
    )
    def late_data(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        now = FileSource.open(source.spec.path, cache=source.cache)  # a pattern may match new files by now
        seen, states = json.loads(context.cursor or "{}"), states_of(now)
        context.update_cursor(json.dumps(states))
        touched = {table for table, state in states.items() if seen.get(table) != state}
        changed = changed_weeks(now, lake, touched)
        if not changed or context.repository_def is None:
            return dg.SkipReason("the files have not changed" if not touched else "no week that is in the lake changed")
        graph = context.repository_def.asset_graph
        needed = affected(graph, changed, lake)
        weeks = "; ".join(f"{asset} of {', '.join(found)}" for asset, found in changed.items())
        cause = sha256(json.dumps([changed, states], sort_keys=True).encode()).hexdigest()[:8]
        if not request_backfill(context.instance, graph, needed, cause, {"embeddings/reason": f"late data: {weeks}"}):
            return dg.SkipReason(f"backfill {cause} makes them already: {weeks}")
        return dg.SkipReason(f"backfill {cause} was asked for: {weeks}")

    return late_data


def states_of(source: FileSource) -> dict[str, str]:
    """Table -> digest of its files' paths, sizes and times; no file is read."""
    digests = {}
    for table, spec in source.spec.tables.items():
        facts = [(str(file.path), (stat := file.path.stat()).st_size, stat.st_mtime_ns) for file in spec.files]
        digests[table] = sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return digests


def request_backfill(
    instance: dg.DagsterInstance, graph: Any, needed: Weeks, cause: str, tags: Mapping[str, str]
) -> bool:
    """Ask the daemon for a backfill; False where the same cause has asked already.

    A sensor can ask for runs, but only a backfill keeps the order of weeks that depend on each other.

    Args:
        instance: of Dagster.
        graph: the definitions' asset graph.
        needed: asset -> weeks.
        cause: the backfill's id, at most 8 letters and digits: one cause, one backfill.
        tags: of the backfill and its runs.
    """
    if instance.get_backfill(cause):
        return False
    wanted = {AssetKeyPartitionKey(asset_key(asset), week) for asset, weeks in needed.items() for week in weeks}
    backfill = PartitionBackfill.from_asset_graph_subset(
        backfill_id=cause,
        backfill_timestamp=time.time(),
        tags=tags,
        dynamic_partitions_store=instance,
        asset_graph_subset=AssetGraphSubset.from_asset_partition_set(wanted, graph),
        title=None,
        description=None,
        run_config=None,
    )
    instance.add_backfill(backfill)
    return True


def changed_weeks(source: Source, lake: LakeFiles, tables: Collection[str] | None = None) -> dict[str, list[Week]]:
    """Raw asset, such as `raw/tweets`, -> weeks whose rows in the lake are not what the source has now.

    Every week in the lake is read from the source again and its rows are compared by their hash: a file that grew
    changes only the weeks that its new rows lie in. Weeks that the lake does not have are nobody's concern here.

    Args:
        source: as it is now.
        lake: as it was then.
        tables: only these; None for all.
    """
    found = {}
    for table in sorted(source.tables if tables is None else tables):
        asset = f"raw/{table}"
        differ = [
            week
            for week in lake.partitions(asset)
            if lake.lineage(asset, week).data_version != content_hash(source.read(table, week).rows)
        ]
        if differ:
            found[asset] = differ
    return found


def affected(graph: Any, changed: Weeks, lake: LakeFiles) -> dict[str, list[Week]]:
    """Asset -> weeks in the lake that rest on the changed ones, themselves included; all else is as it should be.

    Args:
        graph: the definitions' asset graph, which knows how far each asset looks back.
        changed: asset -> weeks.
        lake: what was never made is not made now.
    """
    found: dict[str, set[Week]] = defaultdict(set)
    wanted = [(asset, week) for asset, weeks in changed.items() for week in weeks]
    while wanted:
        asset, week = wanted.pop()
        if week in found[asset]:
            continue
        found[asset].add(week)
        for child in graph.get_children_partitions(asset_key(asset), week):
            name = child.asset_key.to_user_string()
            if graph.get(child.asset_key).tags.get("stage") != "tuning" and lake.exists(name, child.partition_key):
                wanted.append((name, child.partition_key))
    return {asset: sorted(weeks) for asset, weeks in sorted(found.items())}
