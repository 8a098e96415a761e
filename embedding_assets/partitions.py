"""Weekly partitions and the rolling windows over them."""

import warnings

import dagster as dg

from embedding_assets.records import Week
from embedding_assets.sources.schema import Source, shift_week, week_bounds
from embedding_assets.spec import Input
from resources.lake_io import LOAD_AS


def weekly_partitions(source: Source) -> dg.WeeklyPartitionsDefinition:
    """One partition a week, named by its Monday (UTC), from the source's first week to its last."""
    last = source.last_week
    return dg.WeeklyPartitionsDefinition(
        start_date=source.first_week,
        end_date=shift_week(last, 1) if last else None,
        day_offset=1,  # Dagster counts from Sunday
        timezone="UTC",
    )


def asset_key(asset: str) -> dg.AssetKey:
    """`"word/pairs"` as Dagster's key."""
    return dg.AssetKey(asset.split("/"))


def asset_in(source: Input) -> dg.AssetIn:
    """An input that the IO manager hands over as one table, or as a mapping of week to dataset."""
    if source.weeks is None:
        return dg.AssetIn(key=asset_key(source.asset), metadata={LOAD_AS: "table"})
    return window_in(source.asset, first=1 - source.weeks)


def window_in(asset: str, *, first: int, load_as: str = "datasets") -> dg.AssetIn:
    """The weeks `first` (negative) to 0 relative to this one; weeks before the source's first are left out."""
    with warnings.catch_warnings():  # the option that leaves them out is still called beta
        warnings.simplefilter("ignore", dg.BetaWarning)
        window = dg.TimeWindowPartitionMapping(
            start_offset=first, end_offset=0, allow_nonexistent_upstream_partitions=True
        )
    return dg.AssetIn(key=asset_key(asset), metadata={LOAD_AS: load_as}, partition_mapping=window)


def weeks_between(first: Week, last: Week) -> int:
    """How many weeks `last` lies after `first`."""
    return (week_bounds(last)[0] - week_bounds(first)[0]).days // 7
