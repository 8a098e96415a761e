"""Raw event tables, one asset each: a week of the source, with what was wrong set aside."""

from statistics import median

import dagster as dg

from embedding_assets.assets.policy import weekly_asset
from embedding_assets.records import Week
from embedding_assets.sources.schema import Batch, Source, shift_week
from registry import Upstream
from resources.lake import Lake
from resources.lake_files import LakeFiles, content_hash

ACCOUNTED_FOR = "every_row_accounted_for"
FEW_REJECTED = "few_rows_rejected"
NOT_EMPTY = "not_empty"
USUAL_VOLUME = "usual_volume"

MOST_REJECTED = 0.01  # share of a week's rows
VOLUME_BAND = (0.2, 5.0)  # of the median of the weeks before
VOLUME_WEEKS = 8


def raw_asset(source: Source, table: str, partitions: dg.WeeklyPartitionsDefinition) -> dg.AssetsDefinition:
    """The asset `raw/<table>`: what `source` has of that table in a week."""
    key = f"raw/{table}"
    about = ABOUT.get(table, f"The `{table}` of the source `{source.name}`, one week.")

    @weekly_asset(
        key=key,
        partitions=partitions,
        about=about,
        code_version="1",
        kinds=["parquet"],
        check_specs=_check_specs(key),
    )
    def raw(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
        week = context.partition_key
        batch = source.read(table, week)
        quarantine = set_aside(lake.files, table, week, batch)
        counts = (batch.rows_in, batch.rows.num_rows, batch.quarantined.num_rows, batch.deduplicated)
        context.log.info("%d rows in, %d accepted, %d quarantined, %d repeats", *counts)
        return dg.MaterializeResult(
            value=batch.rows,
            metadata={
                "source": source.name,
                "rows_in": batch.rows_in,
                "quarantined": batch.quarantined.num_rows,
                "deduplicated": batch.deduplicated,
                "flagged": batch.flagged,
                "out_of_range": batch.out_of_range,
                "reasons": dg.MetadataValue.md(reasons(batch)),
                "quarantine": dg.MetadataValue.path(quarantine),
            },
            check_results=_check(batch, lake.files, key, week),
        )

    return raw


def set_aside(lake: LakeFiles, table: str, week: Week, batch: Batch) -> str:
    """Write the week's rejected rows, none included, to `quarantine/<table>`; returns the file's path."""
    rows = batch.quarantined
    asset = f"quarantine/{table}"
    lineage = Upstream(asset=asset, partition=week, data_version=content_hash(rows))
    return str(lake.write(asset, rows, lineage))


def reasons(batch: Batch) -> str:
    """A markdown table: why rows were rejected, how many, and where the first one lies."""
    rejected = batch.quarantined
    if not rejected.num_rows:
        return "no row was rejected"
    counts = rejected.group_by(["field", "reason"], use_threads=False).aggregate(
        [([], "count_all"), ("file", "first"), ("line", "first")]
    )
    lines = [
        f"| {row['field'] or ''} | {row['reason']} | {row['count_all']} | {row['file_first']}:{row['line_first']} |"
        for row in counts.to_pylist()
    ]
    return "\n".join(["| field | reason | rows | first |", "|---|---|---|---|", *lines])


def _check_specs(key: str) -> list[dg.AssetCheckSpec]:
    asset = dg.AssetKey(key.split("/"))
    return [
        dg.AssetCheckSpec(
            ACCOUNTED_FOR,
            asset=asset,
            blocking=True,
            description="rows in = accepted + quarantined + exact repeats",
        ),
        dg.AssetCheckSpec(
            FEW_REJECTED,
            asset=asset,
            description=f"at most {MOST_REJECTED:.0%} of the rows rejected",
        ),
        dg.AssetCheckSpec(NOT_EMPTY, asset=asset, description="the week has rows"),
        dg.AssetCheckSpec(
            USUAL_VOLUME,
            asset=asset,
            description=f"rows within {VOLUME_BAND} of the median of up to {VOLUME_WEEKS} weeks before",
        ),
    ]


def _check(batch: Batch, lake: LakeFiles, key: str, week: Week) -> list[dg.AssetCheckResult]:
    rows, rejected = batch.rows.num_rows, batch.quarantined.num_rows
    missing = batch.rows_in - rows - rejected - batch.deduplicated
    share = rejected / batch.rows_in if batch.rows_in else 0.0
    usual = usual_volume(lake, key, week)
    ratio = rows / usual if usual else 1.0
    warn = dg.AssetCheckSeverity.WARN
    return [
        dg.AssetCheckResult(passed=missing == 0, check_name=ACCOUNTED_FOR, metadata={"rows_missing": missing}),
        dg.AssetCheckResult(
            passed=share <= MOST_REJECTED,
            check_name=FEW_REJECTED,
            severity=warn,
            metadata={"share_rejected": share},
        ),
        dg.AssetCheckResult(passed=rows > 0, check_name=NOT_EMPTY, severity=warn, metadata={"rows": rows}),
        dg.AssetCheckResult(
            passed=VOLUME_BAND[0] <= ratio <= VOLUME_BAND[1],
            check_name=USUAL_VOLUME,
            severity=warn,
            metadata={"rows": rows, "ratio_to_median": ratio},
        ),
    ]


def usual_volume(lake: LakeFiles, asset: str, week: Week) -> float | None:
    """Median rows of the last weeks before `week` that the lake holds; None where it holds none."""
    before = [shift_week(week, -back) for back in range(1, VOLUME_WEEKS + 1)]
    rows = [lake.rows(asset, earlier) for earlier in before if lake.exists(asset, earlier)]
    return median(rows) if rows else None


ABOUT = {
    "tweets": "One row a tweet of the week, as the source has it; `created_at` is UTC.",
    "engagements": "One row a like, retweet or reply: which user, which producer's tweet, when.",
    "follows": "One row a follow that began in the week: `src` follows `dst`.",
    "ad_clicks": "One row a click of a user on an ad.",
    "site_visits": "One row a visit of a browser to a web domain; `user_id` where it is known.",
    "user_topics": "One row a topic that a user is interested in; a snapshot, the same in every week.",
    "user_metadata": "One row a fact about a user (attribute, value); a snapshot.",
}
