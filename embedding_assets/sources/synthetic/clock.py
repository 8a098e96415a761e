"""When things happen: counts of rows go in, microseconds since the week's start come out."""

import numpy as np
import pyarrow as pa

from embedding_assets.records import Week
from embedding_assets.sources.schema import TIME, week_bounds

HOUR = 3_600_000_000
WEEK = 7 * 24 * HOUR
_WEEKEND, _NIGHT = 0.85, 0.7


def daily_rhythm(count: int, utc_offset_hours: np.ndarray | int, rng: np.random.Generator) -> np.ndarray:
    """(count,) int64 microseconds in [0, WEEK), UTC: people wake by day, each in their own zone."""
    hours = np.arange(7 * 24)
    weights = 1 - _NIGHT * np.cos((hours - 3) * (2 * np.pi / 24))  # the least at 3 in the morning
    weights[5 * 24 :] *= _WEEKEND
    edges = np.concatenate([[0.0], np.cumsum(weights / weights.sum())])
    local = np.interp(rng.random(count), edges, np.arange(len(edges))) * HOUR
    return (local.astype(np.int64) - np.asarray(utc_offset_hours) * HOUR) % WEEK


def later(moments: np.ndarray, mean_hours: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) int64: some time after each of the (N,) moments, still inside the week."""
    delays = (rng.standard_exponential(len(moments)) * mean_hours * HOUR).astype(np.int64)
    left = (rng.random(len(moments)) * (WEEK - moments)).astype(np.int64)
    return moments + np.where(moments + delays < WEEK, delays, left)


def timestamps(moments: np.ndarray, week: Week) -> pa.TimestampArray:
    """(N,) timestamps of moments inside `week`."""
    return pa.array(moments + epoch_micros(week), pa.int64()).cast(TIME)


def epoch_micros(week: Week) -> int:
    """Start of `week` in microseconds since 1970."""
    return int(week_bounds(week)[0].timestamp()) * 1_000_000
