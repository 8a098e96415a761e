"""A stage of a spec as an asset: load, call, write, report."""

from typing import Any

import dagster as dg

from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in
from embedding_assets.spec import Stage
from resources.engine import Engine


def stage_asset(key: str, stage: Stage, partitions: dg.WeeklyPartitionsDefinition, owner: str) -> dg.AssetsDefinition:
    """The asset `key`; its text in the UI is the stage's `about`."""

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=stage.about,
        code_version=stage.version,
        kinds=["duckdb", "parquet"],
        owner=owner,
        ins={name: asset_in(source) for name, source in stage.inputs.items()},
    )
    def weekly_table(context: dg.AssetExecutionContext, engine: Engine, **inputs: Any) -> dg.MaterializeResult:
        with engine.connect() as connection:
            table = stage.make(connection, **inputs)
        context.log.info("%s %s: %d rows", key, context.partition_key, table.num_rows)
        return dg.MaterializeResult(value=table)

    return weekly_table
