"""Whether retraining pays: `drift/staleness`."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from benchmarks.drift.figures import staleness_png
from benchmarks.drift.study import STALENESS, gaps
from embedding_assets.aging import FOLLOWED, judge_week, week_asked
from embedding_assets.assets.pictures import picture
from embedding_assets.assets.policy import weekly_asset
from embedding_assets.partitions import asset_in, window_in
from embedding_assets.records import Week
from embedding_assets.sources.schema import shift_week
from embedding_assets.spec import EmbeddingSpec, this_week
from resources.engine import Engine
from resources.lake import Lake
from resources.lake_files import LakeFiles

KEY = "drift/staleness"


def staleness_asset(specs: Sequence[EmbeddingSpec], partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `drift/staleness`: versions of every age judged on a week that none of them has seen."""
    # Each table once, though two embeddings may read it: Dagster takes no asset as two inputs.
    tables = sorted({asset for spec in specs for asset in spec.window.assets.values()})
    named = {asset: asset.replace("/", "__") for asset in tables}
    ins = {name: asset_in(this_week(asset)) for asset, name in named.items()}
    for spec in specs:
        ins[f"{spec.name}__versions"] = window_in(f"{spec.name}/embedding", first=-FOLLOWED, load_as="versions")

    @weekly_asset(
        key=KEY,
        partitions=partitions,
        about=(
            f"One row an embedding, a version of the last {FOLLOWED} weeks and a metric: how well the version answers "
            "for this week's pairs, which it was not trained on, and how far it is behind the newest. Ages without a "
            "version are left out and named."
        ),
        code_version="1",
        kinds=["numpy"],
        ins=ins,
    )
    def staleness(context: dg.AssetExecutionContext, engine: Engine, lake: Lake, **inputs: Any) -> dg.MaterializeResult:
        week = context.partition_key
        parts, metadata = [STALENESS.empty_table()], {}
        for spec in specs:
            tables = {role: inputs[named[asset]] for role, asset in spec.window.assets.items()}
            versions = inputs[f"{spec.name}__versions"]
            with engine.connect() as connection:
                asked = week_asked(connection, spec, tables)
            parts.append(judge_week(spec, asked, versions, week))
            context.log.info("%s: %d rows of %d versions", spec.name, len(parts[-1]), len(versions))
            metadata |= _metadata(spec, parts[-1], week)
        judged = pa.concat_tables(parts)
        return dg.MaterializeResult(value=judged, metadata=metadata | _figure(judged, lake.files, week))

    return staleness


def _metadata(spec: EmbeddingSpec, judged: pa.Table, week: Week) -> dict[str, Any]:
    """Numbers of the oldest and the newest version, and what is missing."""
    rows = judged.to_pylist()
    if not rows:
        return {f"{spec.name} remarks": "no earlier version to judge"}
    ages = [row["age"] for row in rows]
    numbers = {f"{spec.name} oldest_age": max(ages)}
    for row in rows:
        if row["value"] is not None and row["age"] == min(ages):
            numbers[f"{spec.name} {row['metric']} newest"] = row["value"]
        if row["behind"] is not None and row["age"] == max(ages):
            numbers[f"{spec.name} {row['metric']} oldest_behind"] = row["behind"]
    expected = [shift_week(week, -age) for age in range(min(ages), max(ages) + 1)]
    undefined = sorted({f"{row['metric']}: {row['undefined']}" for row in rows if row["undefined"]})
    said = [*filter(None, [gaps((row["trained_week"] for row in rows), expected)]), *undefined]
    return {**numbers, f"{spec.name} remarks": "; ".join(said) or "none"}


def _figure(judged: pa.Table, lake: LakeFiles, week: Week) -> dict[str, Any]:
    """All weeks so far of the embedding whose oldest version is furthest behind; `embeddings staleness` draws any."""
    behind = [row for row in judged.to_pylist() if row["behind"] is not None]
    if not behind:
        return {}
    worst = max(behind, key=lambda row: (row["age"], row["behind"]))["embedding"]
    earlier = [shift_week(week, -back) for back in range(1, FOLLOWED + 1)]
    rows = [row for then in earlier if lake.exists(KEY, then) for row in _rows(lake, then, worst)]
    rows += [row for row in judged.to_pylist() if row["embedding"] == worst]
    oldest = min(row["trained_week"] for row in rows)
    title = f"{worst}: trained once on {oldest}, and retrained each week"
    return {"figure": picture(staleness_png(rows, title, oldest), title)}


def _rows(lake: LakeFiles, week: Week, embedding: str) -> list[dict[str, Any]]:
    return [row for row in lake.read(KEY, week).to_pylist() if row["embedding"] == embedding]
