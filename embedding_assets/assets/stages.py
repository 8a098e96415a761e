"""A stage of a spec as an asset: load, call, write, report."""

from collections.abc import Collection
from typing import Any

import dagster as dg
import pyarrow as pa

from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in
from embedding_assets.records import Week
from embedding_assets.spec import Stage
from registry.features.sets import FeatureDraft
from resources.engine import Engine
from resources.lake_io import Served


def stage_asset(
    key: str, stage: Stage, partitions: dg.WeeklyPartitionsDefinition, owner: str, lacking: Collection[str] = ()
) -> dg.AssetsDefinition:
    """The asset `key`; its text in the UI is the stage's `about`.

    Args:
        key: `group/name`.
        stage: what it does.
        partitions: of every asset.
        owner: who answers for it.
        lacking: names of optional inputs that the source does not have.
    """
    absent = dict.fromkeys(lacking)

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=stage.about,
        code_version=stage.code_version,
        kinds=["duckdb", "parquet"],
        owner=owner,
        ins={name: asset_in(source) for name, source in stage.inputs.items() if name not in absent},
    )
    def weekly_table(context: dg.AssetExecutionContext, engine: Engine, **inputs: Any) -> dg.MaterializeResult:
        with engine.connect() as connection:
            table = stage.make(connection, **inputs, **absent, **stage.settings)
        context.log.info("%s %s: %d rows", key, context.partition_key, table.num_rows)
        return dg.MaterializeResult(value=_output(stage, table, context.partition_key))

    return weekly_table


def _output(stage: Stage, table: pa.Table, week: Week) -> pa.Table | Served:
    """The stage's table, with what of it the registry serves as features."""
    features = stage.features
    if features is None:
        return table
    draft = FeatureDraft(
        entity=features.entity,
        kind=features.kind,
        name=features.name or stage.name,
        table=table.select([features.key, *features.columns]) if features.columns else table,
        key=features.key,
        week=week,
    )
    return Served(table, draft)
