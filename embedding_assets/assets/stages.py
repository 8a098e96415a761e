"""A stage of a spec as an asset: load, call, write, report."""

from typing import Any

import dagster as dg

from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in
from embedding_assets.spec import Stage
from resources.engine import Engine


def stage_asset(group: str, stage: Stage, partitions: dg.WeeklyPartitionsDefinition, owner: str) -> dg.AssetsDefinition:
    """The asset `<group>/<stage.name>`; its text in the UI is the stage's `about`."""

    @weekly_asset(
        key=f"{group}/{stage.name}",
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
        context.log.info("%s/%s %s: %d rows", group, stage.name, context.partition_key, table.num_rows)
        return dg.MaterializeResult(value=table)

    return weekly_table
