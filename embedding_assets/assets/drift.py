"""The group `drift`: what changes from week to week, in what people write, in versions, and in how well they serve."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.dataset as ds

from benchmarks.drift.figures import AGES, overlap_png
from embedding_assets.assets.drift_staleness import staleness_asset
from embedding_assets.assets.drift_words import noise_floor_asset, word_relations_asset
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.assets.stages import stage_asset
from embedding_assets.partitions import window_in
from embedding_assets.spec import EmbeddingSpec, Stage, this_week
from embedding_assets.tables.overlap import KINDS, LISTED, token_overlap, top_tokens
from resources.engine import Engine

OWNER = "team:embeddings"
TOKENS, LISTS = "text/tokens", "text/top_tokens"

TOP_TOKENS = Stage(
    name="top_tokens",
    about=(
        f"One row a token among the {LISTED:,} most frequent of its kind in the week (mentions, linked sites, "
        "hashtags, words, words of English tweets), and those that tie with the last of them. From `text/tokens`."
    ),
    inputs={"tokens": this_week(TOKENS)},
    make=top_tokens,
    settings={"k": LISTED},
)


def drift_assets(
    specs: Sequence[EmbeddingSpec], read: frozenset[str], partitions: dg.WeeklyPartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """The assets of the group `drift`, as far as there is something to compare, and the stage `text/top_tokens`.

    Args:
        specs: the embeddings that are built.
        read: keys of the assets that there are; the overlap of tokens needs `text/tokens`.
        partitions: of every asset.
    """
    made: list[dg.AssetsDefinition] = []
    if TOKENS in read:
        made += [stage_asset(LISTS, TOP_TOKENS, partitions, OWNER), token_overlap_asset(partitions)]
    if words := [spec for spec in specs if spec.entity == "word"]:
        made += [noise_floor_asset(words, partitions), word_relations_asset(words, partitions)]
    if specs:
        made.append(staleness_asset(specs, partitions))
    return made


def token_overlap_asset(partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `drift/token_overlap`: Figure 1 of "Embeddings@Twitter" (2018), and every age up to a year."""

    @weekly_asset(
        key="drift/token_overlap",
        partitions=partitions,
        about=(
            f"One row a kind of token and an age of 1 to {AGES[-1]} weeks: which share of this week's {LISTED:,} most "
            "frequent mentions, linked sites, hashtags and words was among the most frequent that long ago. "
            "From `text/top_tokens`; weeks that are missing are said, not counted as 0."
        ),
        code_version="1",
        kinds=["duckdb", "parquet"],
        ins={"lists": window_in(LISTS, first=-AGES[-1], load_as="found")},
    )
    def overlap(
        context: dg.AssetExecutionContext, engine: Engine, lists: dict[str, ds.Dataset]
    ) -> dg.MaterializeResult:
        with engine.connect() as connection:
            table = token_overlap(connection, lists, context.partition_key)
        return dg.MaterializeResult(value=table, metadata=_overlap_metadata(table, context.partition_key))

    return overlap


def _overlap_metadata(table: pa.Table, week: str) -> dict[str, Any]:
    """Numbers for the three ages of the paper, which the UI plots over weeks, the picture, and what to know."""
    rows = table.to_pylist()
    at = {(row["kind"], row["weeks_back"]): row for row in rows}
    shown = [at[kind, age] for age in AGES for kind in KINDS if (kind, age) in at]
    numbers = {f"{row['kind']} kept {row['weeks_back']}w": row["share"] for row in shown if row["share"] is not None}
    return {
        **numbers,
        "figure": picture(overlap_png(rows, KINDS, week), "overlap by kind and age"),
        "table": dg.MetadataValue.md(overlap_markdown(shown)),
        "remarks": dg.MetadataValue.md(_remarks(rows)),
    }


def overlap_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """A markdown table of rows of the overlap; shares in percent."""
    names = ("kind", "weeks before", "share kept", "if ties were drawn", "tokens", "tied", "remark")
    head = f"| {' | '.join(names)} |\n{'|---' * len(names)}|"
    lines = [
        f"| {row['kind']} | {row['weeks_back']} | {_percent(row['share'])} | {_percent(row['share_if_drawn'])} "
        f"| {row['listed'] or 0} | {row['tied'] or 0} | {row['remark'] or ''} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _remarks(rows: Sequence[Mapping[str, Any]]) -> str:
    """Missing weeks once each, and what else is to be known of the ages of the paper."""
    if not rows:
        return "no earlier week to compare with"
    missing = sorted({row["remark"] for row in rows if row["remark"] and "is missing" in row["remark"]})
    return "; ".join(missing) or "every week in between is there"
