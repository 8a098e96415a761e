"""Drift answered: a sensor that asks for a retraining when what a spec watches leaves its bounds."""

import datetime as dt
from collections.abc import Iterator, Sequence

import dagster as dg

from embedding_assets.assets.watches import look
from embedding_assets.partitions import asset_key
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.weekly import due_assets, group_job, is_under_way, job_name

#: Between two retrainings of one embedding that drift has asked for.
COOLDOWN = dt.timedelta(days=1)
#: Tags of the runs; the reason is for people, the other for the cooldown.
RETRAINED, REASON = "embeddings/retrained_by_drift", "embeddings/reason"


def retrain_on_drift(
    specs: Sequence[EmbeddingSpec], partitions: dg.WeeklyPartitionsDefinition, cooldown: dt.timedelta = COOLDOWN
) -> dg.SensorDefinition:
    """The sensor `retrain_on_drift`: off until somebody turns it on.

    It is for embeddings that are not retrained each week: a version of the week in which drift was seen, or of a
    later one, has answered it already.
    """

    @dg.sensor(
        name="retrain_on_drift",
        jobs=[group_job(spec.name) for spec in specs],
        minimum_interval_seconds=300,
        description="Retrains an embedding, warm, when what its spec watches has left its bounds since its version.",
    )
    def retrain_on_drift(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        said = []
        for spec in specs:
            asked = _request(context, spec, partitions, cooldown)
            if isinstance(asked, dg.RunRequest):
                yield asked
            else:
                said.append(f"{spec.name}: {asked}")
        if len(said) == len(specs):
            yield dg.SkipReason("; ".join(said))

    return retrain_on_drift


def _request(
    context: dg.SensorEvaluationContext,
    spec: EmbeddingSpec,
    partitions: dg.WeeklyPartitionsDefinition,
    cooldown: dt.timedelta,
) -> dg.RunRequest | str:
    """A run that retrains on the newest week, or why none is needed or possible."""
    instance, embedding = context.instance, f"{spec.name}/embedding"
    trained = max(instance.get_materialized_partitions(asset_key(embedding)), default=None)
    newest = partitions.get_last_partition_key()
    drift = drift_since(instance, spec, trained)
    if drift is None or newest is None:
        return "no drift since its newest version"
    week, why = drift
    if trained is not None and trained >= newest:
        return f"its version of {trained} is of the newest week; {why}"
    if is_under_way(instance, asset_key(embedding)):
        return "is being made"
    if _cools_down(instance, spec, cooldown):
        return f"was retrained by drift less than {cooldown} ago; {why}"
    if gaps := missing(instance, spec, newest, partitions):
        return f"cannot be retrained, {gaps}; run `embeddings backfill {spec.name} --from {newest} --to {newest}`"
    return dg.RunRequest(
        run_key=f"{spec.name} drifted in {week}",  # one cause, one run
        job_name=job_name(spec.name),
        partition_key=newest,
        asset_selection=due_assets(context.repository_def, instance, spec.name, newest),
        run_config={"ops": {f"{spec.name}__embedding": {"config": {"warm_start": True}}}},
        tags={RETRAINED: spec.name, REASON: f"drift: {why}"},
    )


def drift_since(instance: dg.DagsterInstance, spec: EmbeddingSpec, trained: Week | None) -> tuple[Week, str] | None:
    """The newest week, not before the newest version's, in which a watched number left its bounds, and what it was."""
    found = [
        (week, seen.why)
        for watch in spec.watches
        for week in instance.get_materialized_partitions(asset_key(watch.asset))
        if trained is None or week >= trained
        if not (seen := look(instance, watch, week)).holds
    ]
    return max(found, default=None)


def missing(
    instance: dg.DagsterInstance, spec: EmbeddingSpec, week: Week, partitions: dg.WeeklyPartitionsDefinition
) -> str:
    """Which earlier weeks of its window were never made, by asset; empty where none."""
    first = partitions.get_first_partition_key() or week
    gaps = {}
    for read in spec.reads.values():
        earlier = {shift_week(week, -back) for back in range(1, read.weeks or 1)}
        made = instance.get_materialized_partitions(asset_key(read.asset))
        if lacking := sorted(then for then in earlier - made if then >= first):
            gaps[read.asset] = lacking
    return "; ".join(f"{asset} lacks {', '.join(weeks)}" for asset, weeks in gaps.items())


def _cools_down(instance: dg.DagsterInstance, spec: EmbeddingSpec, cooldown: dt.timedelta) -> bool:
    since = dt.datetime.now(dt.UTC) - cooldown
    recent = dg.RunsFilter(tags={RETRAINED: spec.name}, created_after=since)
    return bool(instance.get_run_records(recent, limit=1))
