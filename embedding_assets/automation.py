"""What runs by itself: the weekly jobs and schedules, and sensors for versions, drift and late data."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from embedding_assets.late_data import late_data
from embedding_assets.partitions import asset_key, weekly_partitions
from embedding_assets.records import Week
from embedding_assets.retraining import retrain_on_drift
from embedding_assets.sources.files import FileSource
from embedding_assets.sources.schema import Source
from embedding_assets.spec import EmbeddingSpec
from embedding_assets.weekly import is_under_way, weekly_jobs
from resources.lake_files import LakeFiles


def automation(specs: Sequence[EmbeddingSpec], source: Source, home: Path) -> dg.Definitions:
    """Jobs, schedules and sensors for the embeddings that are built.

    Args:
        specs: of the embeddings.
        source: one of files is watched for late data.
        home: of the project; its lake is compared with the source.
    """
    names, partitions = [spec.name for spec in specs], weekly_partitions(source)
    sensors = [scores_follow_versions(names)] if names else []
    if watched := [spec for spec in specs if spec.watches]:
        sensors.append(retrain_on_drift(watched, partitions))
    if specs and isinstance(source, FileSource):
        sensors.append(late_data(source, LakeFiles(home / "lake")))
    groups = [*names, "drift"] if names else []
    return dg.Definitions.merge(weekly_jobs(groups, partitions), dg.Definitions(sensors=sensors))


def scores_follow_versions(embeddings: Sequence[str]) -> dg.SensorDefinition:
    """Asks for scores of every version that was made without them, or made again since, and for the gates after them.

    A declarative condition cannot say this: scores also read earlier versions, through a window, so to Dagster
    one new version touches the scores of five weeks.
    """
    judged = {name: [asset_key(f"{name}/{stage}") for stage in ("scores", "production")] for name in embeddings}

    @dg.sensor(
        target=dg.AssetSelection.assets(*(key for keys in judged.values() for key in keys)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
        description="Scores every version that was materialised without its scores, and asks the gates.",
    )
    def scores_follow_versions(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        for name, keys in judged.items():
            if is_under_way(context.instance, keys[0]):
                continue
            for week, event in unscored(context.instance, name).items():
                yield dg.RunRequest(run_key=f"{name} {week} {event}", partition_key=week, asset_selection=keys)

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
