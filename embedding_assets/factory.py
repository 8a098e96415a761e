"""From specs and a source to assets, checks and jobs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from benchmarks.runner import applicable, discover, find
from benchmarks.task import Task
from embedding_assets.assets.checks import version_checks
from embedding_assets.assets.drift import drift_assets
from embedding_assets.assets.leaderboard import leaderboard_asset
from embedding_assets.assets.production import production_asset
from embedding_assets.assets.raw import raw_asset
from embedding_assets.assets.scores import scores_asset
from embedding_assets.assets.shared import SHARED
from embedding_assets.assets.stages import stage_asset
from embedding_assets.assets.tuning import tuning_asset
from embedding_assets.assets.versions import embedding_asset
from embedding_assets.assets.watches import watch_checks
from embedding_assets.features import feature_stages
from embedding_assets.labels import LABELS
from embedding_assets.partitions import weekly_partitions
from embedding_assets.reach import raw_tables, reach, read_by, required_tables
from embedding_assets.sources.schema import Source
from embedding_assets.spec import EmbeddingSpec, Input, SpecError, Stage

SHARED_OWNER = "team:embeddings"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the factory made.

    Attributes:
        assets: raw tables, shared tables, each embedding's own, then what compares weeks.
        checks: those that run as steps of their own.
        specs: the embeddings that could be built from this source.
        left_out: name of an embedding -> the tables that the source lacks.
    """

    assets: list[dg.AssetsDefinition]
    checks: list[dg.AssetChecksDefinition]
    specs: list[EmbeddingSpec]
    left_out: dict[str, list[str]]


def build(source: Source, specs: Sequence[EmbeddingSpec]) -> Built:
    """Assets for every table of `source` and for every spec whose tables it has.

    Raises:
        SpecError: a spec reads an asset that nobody makes.
        UnknownTask: a spec names a benchmark task that does not exist.
    """
    stages = stages_of(specs)
    left_out = {
        spec.name: lacking for spec in specs if (lacking := sorted(required_tables(spec, stages) - source.tables))
    }
    for name, lacking in left_out.items():
        logger.warning(
            "embedding %s is left out: the source %s has no table %s",
            name,
            source.name,
            ", ".join(lacking),
        )
    kept = [spec for spec in specs if spec.name not in left_out]
    partitions = weekly_partitions(source)
    raw = [raw_asset(source, table, partitions) for table in sorted(source.tables)]
    tables = _stages(kept, stages, source, partitions)
    own = [asset for spec in kept for asset in _embedding(spec, stages, source, partitions)]
    made = frozenset(asset.key.to_user_string() for asset in tables)
    board = [leaderboard_asset(kept, partitions)] if kept else []
    assets = [*raw, *tables, *own, *drift_assets(kept, made, partitions), *board]
    keys = {asset.key.to_user_string() for asset in assets}
    return Built(
        assets=assets,
        checks=[check for spec in kept for check in (version_checks(spec), *watch_checks(spec, keys))],
        specs=kept,
        left_out=left_out,
    )


def stages_of(specs: Sequence[EmbeddingSpec]) -> dict[str, Stage]:
    """Asset key -> stage, for the shared stages, the feature sets, and those of every spec."""
    return {**SHARED, **feature_stages(), **{key: stage for spec in specs for key, stage in spec.assets.items()}}


def _stages(
    kept: Sequence[EmbeddingSpec],
    stages: Mapping[str, Stage],
    source: Source,
    partitions: dg.WeeklyPartitionsDefinition,
) -> list[dg.AssetsDefinition]:
    """The stages of the specs that are kept, those of others that they read, and feature sets with what they read."""
    made = [read_by(spec, stages) | frozenset(spec.assets) for spec in kept]
    sets = {key: [Input(asset=key)] for key in feature_stages()}
    made += [
        reach(key, read, stages)
        for key, read in sets.items()
        if raw_tables(reach(key, read, stages, optional=False)) <= source.tables
    ]
    owners = {spec.name: spec.owner for spec in kept}
    keys = frozenset[str]().union(*made)
    return [
        stage_asset(
            key, stage, partitions, owners.get(key.split("/")[0], SHARED_OWNER), lacking=_lacking(stage, source.tables)
        )
        for key, stage in stages.items()
        if key in keys
    ]


def _lacking(stage: Stage, tables: frozenset[str]) -> list[str]:
    """Names of the optional inputs whose raw table is not among `tables`."""
    optional = {name: read.asset.removeprefix("raw/") for name, read in stage.inputs.items() if read.optional}
    return [name for name, table in optional.items() if table not in tables]


def _embedding(
    spec: EmbeddingSpec,
    stages: Mapping[str, Stage],
    source: Source,
    partitions: dg.WeeklyPartitionsDefinition,
) -> list[dg.AssetsDefinition]:
    settings = {key: stages[key].settings for key in sorted(read_by(spec, stages)) if key in stages}
    tasks, labels = tasks_of(spec), labels_of(spec, source)
    return [
        embedding_asset(spec, {key: dict(found) for key, found in settings.items() if found}, partitions),
        scores_asset(spec, tasks, labels, partitions),
        production_asset(spec, partitions),
        tuning_asset(spec, tasks, labels, partitions),
    ]


def labels_of(spec: EmbeddingSpec, source: Source) -> dict[str, Input]:
    """Label -> what it is read from, for all that its tasks need or can use and the source has.

    Raises:
        SpecError: a task needs a label that `LABELS` does not have.
    """
    tasks = tasks_of(spec)
    if unknown := sorted({label for task in tasks for label in task.needs_labels} - set(LABELS)):
        raise SpecError(f"tasks of {spec.name!r} need labels {unknown}, which are not in embedding_assets/labels.py")
    named = sorted({label for task in tasks for label in (*task.needs_labels, *task.uses_labels)} & set(LABELS))
    return {label: LABELS[label] for label in named if LABELS[label].asset.removeprefix("raw/") in source.tables}


def tasks_of(spec: EmbeddingSpec) -> list[Task]:
    """The benchmark tasks that judge an embedding: those it names, or all that know one of its entities."""
    known = discover()
    entities = list(dict.fromkeys(name.split("/")[0] for name in spec.published))
    found = {task.id: task for entity in entities for task in applicable(known, entity)}
    if spec.tasks is None:
        return list(found.values())
    named = [find(known, task) for task in spec.tasks]
    if foreign := [task.id for task in named if task.id not in found]:
        raise SpecError(f"SPEC {spec.name!r}: SPEC.tasks names {foreign}, which do not judge {' or '.join(entities)}")
    return named
