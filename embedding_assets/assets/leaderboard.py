"""The paper's Table 1 over everything that was judged: tasks down, embeddings across."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from benchmarks.leaderboard import leaderboard_png, table_one
from benchmarks.runner import discover
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in
from embedding_assets.spec import EmbeddingSpec, this_week
from resources.lake import Lake

KEY = "scores/leaderboard"


def leaderboard_asset(specs: Sequence[EmbeddingSpec], partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `scores/leaderboard`: made after the scores of every embedding of the week."""

    @weekly_asset(
        key=KEY,
        partitions=partitions,
        about="Table 1: one row a task and embedding, of the newest versions, with intervals and floors; best in bold.",
        code_version="1",
        kinds=["numpy"],
        ins={spec.name: asset_in(this_week(f"{spec.name}/scores")) for spec in specs},
    )
    def leaderboard(context: dg.AssetExecutionContext, lake: Lake, **scores: Any) -> dg.MaterializeResult:
        store = lake.store
        published = [name for spec in specs for name in spec.published if name in store.names()]
        board = table_one(store, discover(), published)
        context.log.info("%d embeddings, %d scores", len(board.embeddings), board.table.num_rows)
        return dg.MaterializeResult(
            value=board.table,
            metadata={
                "table": dg.MetadataValue.md(board.to_markdown()),
                "picture": picture(leaderboard_png(board), "Table 1"),
                "embeddings": len(board.embeddings),
            },
        )

    return leaderboard
