"""From specs and a source to assets, checks and jobs."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from benchmarks.runner import applicable, discover, find
from benchmarks.task import Task
from embedding_assets.assets.checks import version_checks
from embedding_assets.assets.raw import raw_asset
from embedding_assets.assets.scores import scores_asset
from embedding_assets.assets.shared import SHARED
from embedding_assets.assets.stages import stage_asset
from embedding_assets.assets.versions import embedding_asset
from embedding_assets.features import feature_stages
from embedding_assets.partitions import weekly_partitions
from embedding_assets.sources.schema import Source
from embedding_assets.spec import EmbeddingSpec, SpecError, Stage, raw_tables, reach, read_by, required_tables

SHARED_OWNER = "team:embeddings"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Built:
    """What the factory made.

    Attributes:
        assets: raw tables, shared tables, then each embedding's own.
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
    own = [asset for spec in kept for asset in _embedding(spec, source, partitions)]
    return Built(
        assets=[*raw, *_stages(kept, stages, source, partitions), *own],
        checks=[version_checks(spec) for spec in kept],
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
    for key in feature_stages():
        read = reach(key, [key], stages)
        if raw_tables(read) <= source.tables:
            made.append(read)
    owners = {spec.name: spec.owner for spec in kept}
    keys = frozenset[str]().union(*made)
    return [
        stage_asset(key, stage, partitions, owners.get(key.split("/")[0], SHARED_OWNER))
        for key, stage in stages.items()
        if key in keys
    ]


def _embedding(
    spec: EmbeddingSpec, source: Source, partitions: dg.WeeklyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    return [
        embedding_asset(spec, partitions),
        scores_asset(spec, tasks_of(spec), labels_of(spec, source), partitions),
    ]


def labels_of(spec: EmbeddingSpec, source: Source) -> list[str]:
    """The raw tables, such as `truth_words`, that its scores read: those that tasks need and the source has."""
    return sorted({label for task in tasks_of(spec) for label in task.needs_labels} & source.tables)


def tasks_of(spec: EmbeddingSpec) -> list[Task]:
    """The benchmark tasks that judge an embedding: those it names, or all that know one of its entities."""
    known = discover()
    entities = [entity for entity in (spec.entity, spec.window.column_entity) if entity]
    found = {task.id: task for entity in entities for task in applicable(known, entity)}
    if spec.tasks is None:
        return list(found.values())
    named = [find(known, task) for task in spec.tasks]
    if foreign := [task.id for task in named if task.id not in found]:
        raise SpecError(f"SPEC {spec.name!r}: SPEC.tasks names {foreign}, which do not judge {' or '.join(entities)}")
    return named
