"""Weekly jobs: everything at once, or one group with what it reads; and what of it is due."""

import datetime as dt
from collections.abc import Sequence
from functools import cache
from typing import Any

import dagster as dg

from embedding_assets.records import Week

#: Hours (UTC) after the week has ended, so that late events are in.
HOUR_OF_DAY = 6
#: Minutes between the schedules of two groups, so that what they share is made once.
APART = 5

#: A search for better settings is made by who asks for it alone.
TUNING = dg.AssetSelection.tag("stage", "tuning")
EVERY_WEEK = dg.AssetSelection.all() - TUNING

ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
UNDER_WAY = [status for status in dg.DagsterRunStatus if status not in ENDED]
ACTIVE_BACKFILL = ("REQUESTED", "CANCELING", "FAILING")


def job_name(group: str) -> str:
    """Of the job that makes one week of one group."""
    return f"{group}_weekly"


def selection_of(group: str) -> dg.AssetSelection:
    """A group and all that it is made from; what looks at versions, in the group `drift`, makes none."""
    needed = (dg.AssetSelection.groups(group) - TUNING).upstream()
    return needed - dg.AssetSelection.tag("stage", "embedding") if group == "drift" else needed


@cache
def group_job(group: str) -> Any:
    """The job that makes one week of a group; the same object each time, since Dagster takes two for a conflict."""
    return dg.define_asset_job(
        job_name(group),
        selection=selection_of(group),
        description=f"One week of the group {group}, and of all that it reads.",
    )


def weekly_jobs(groups: Sequence[str], partitions: dg.WeeklyPartitionsDefinition) -> dg.Definitions:
    """The job `weekly` and one for each group, each with a schedule that is off until somebody turns it on.

    Args:
        groups: the embeddings, and `drift` where there is such a group.
        partitions: of every asset.
    """
    weekly = dg.define_asset_job(
        "weekly",
        selection=EVERY_WEEK,
        description="Every table, embedding and score of one week; the window's earlier weeks must exist.",
    )
    every_week = dg.build_schedule_from_partitioned_job(
        weekly,
        name="every_week",
        description="Each Monday morning (UTC): materialises the week that has just ended.",
        hour_of_day=HOUR_OF_DAY,
    )
    jobs = {group: group_job(group) for group in groups}
    schedules = [_schedule(name, job, partitions, index) for index, (name, job) in enumerate(jobs.items())]
    return dg.Definitions(jobs=[weekly, *jobs.values()], schedules=[every_week, *schedules])


def _schedule(group: str, job: Any, partitions: dg.WeeklyPartitionsDefinition, index: int) -> dg.ScheduleDefinition:
    hour, minute = divmod(HOUR_OF_DAY * 60 + (index + 1) * APART, 60)

    @dg.schedule(
        name=f"{group}_every_week",
        job=job,
        cron_schedule=f"{minute} {hour} * * 1",
        execution_timezone="UTC",
        description=f"Each Monday morning (UTC): the week of {group} that has just ended, and whatever it reads that "
        "is not there yet. For those who do not turn on `every_week`.",
    )
    def every_week(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        week = (now - dt.timedelta(weeks=1)).date().isoformat()
        if week not in partitions.get_partition_keys(current_time=now):
            return dg.SkipReason(f"the source has no week {week}")
        due = due_assets(context.repository_def, context.instance, group, week)
        return dg.RunRequest(run_key=f"{group} {week}", partition_key=week, asset_selection=due)

    return every_week


def due_assets(
    repository: dg.RepositoryDefinition | None, instance: dg.DagsterInstance, group: str, week: Week
) -> list[dg.AssetKey]:
    """The group's own assets, and of what it reads those that do not have `week` yet."""
    if repository is None:  # only in a context that a test has built without one
        raise ValueError(f"what is due of {group} in {week} cannot be told without the repository")
    keys = selection_of(group).resolve(repository.asset_graph)
    return sorted(key for key in keys if key.path[0] == group or week not in instance.get_materialized_partitions(key))


def is_under_way(instance: dg.DagsterInstance, key: dg.AssetKey) -> bool:
    """Whether a run or a backfill that has not ended will make `key` by itself."""
    runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=UNDER_WAY))]
    if any(run.asset_selection is None or key in run.asset_selection for run in runs):
        return True
    backfills = instance.get_backfills(limit=100)
    return any(
        key in (backfill.asset_selection or ()) for backfill in backfills if backfill.status.name in ACTIVE_BACKFILL
    )
