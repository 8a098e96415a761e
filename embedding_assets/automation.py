"""What runs by itself: the weekly job and its schedule, and scores that follow their versions."""

from collections.abc import Iterator, Sequence

import dagster as dg

from embedding_assets.partitions import asset_key
from embedding_assets.records import Week

#: Hours (UTC) after the week has ended, so that late events are in.
HOUR_OF_DAY = 6

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in ENDED]
ACTIVE_BACKFILL = ("REQUESTED", "CANCELING", "FAILING")


def automation(embeddings: Sequence[str]) -> dg.Definitions:
    """The job `weekly`, its schedule (off until somebody turns it on), and the sensor that scores versions."""
    weekly = dg.define_asset_job(
        "weekly",
        selection=dg.AssetSelection.all(),
        description="Every table, embedding and score of one week; the window's earlier weeks must exist.",
    )
    every_week = dg.build_schedule_from_partitioned_job(
        weekly,
        name="every_week",
        description="Each Monday morning (UTC): materialises the week that has just ended.",
        hour_of_day=HOUR_OF_DAY,
    )
    sensors = [scores_follow_versions(embeddings)] if embeddings else []
    return dg.Definitions(jobs=[weekly], schedules=[every_week], sensors=sensors)


def scores_follow_versions(embeddings: Sequence[str]) -> dg.SensorDefinition:
    """Asks for scores of every version that was made without them, or made again since.

    A declarative condition cannot say this: scores also read earlier versions, through a window, so to Dagster
    one new version touches the scores of five weeks.
    """
    scores = {name: asset_key(f"{name}/scores") for name in embeddings}

    @dg.sensor(
        target=dg.AssetSelection.assets(*scores.values()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Scores every version that was materialised without its scores.",
    )
    def scores_follow_versions(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        for name, key in scores.items():
            if is_under_way(context.instance, key):
                continue
            for week, event in unscored(context.instance, name).items():
                yield dg.RunRequest(run_key=f"{name} {week} {event}", partition_key=week, asset_selection=[key])

    return scores_follow_versions


def unscored(instance: dg.DagsterInstance, embedding: str) -> dict[Week, int]:
    """Week -> event of the newest version, for weeks whose version is newer than its scores."""
    made, scored = (
        instance.get_latest_storage_id_by_partition(
            asset_key(f"{embedding}/{stage}"), dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        for stage in ("embedding", "scores")
    )
    return {week: event for week, event in sorted(made.items()) if event > scored.get(week, -1)}


def is_under_way(instance: dg.DagsterInstance, key: dg.AssetKey) -> bool:
    """Whether a run or a backfill that has not ended will make `key` by itself."""
    runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY))]
    if any(run.asset_selection is None or key in run.asset_selection for run in runs):
        return True
    backfills = instance.get_backfills(limit=100)
    return any(
        key in (backfill.asset_selection or ()) for backfill in backfills if backfill.status.name in ACTIVE_BACKFILL
    )
